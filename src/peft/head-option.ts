import { z } from 'zod';

/** The option that every method has: which head reads the encoder. */
export function headOption(
  fallback: 'native' | 'linear' | 'mask',
): z.ZodDefault<z.ZodEnum<{ native: 'native'; linear: 'linear'; mask: 'mask' }>> {
  return z
    .enum(['native', 'linear', 'mask'])
    .default(fallback)
    .describe(
      "Which head reads the encoder: the family's own sequence classifier, one linear map on the first token, or one linear map on a mask token put after the first sentence.",
    );
}
