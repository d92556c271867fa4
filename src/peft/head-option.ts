import { z } from 'zod';
import type { HeadKind } from './method.ts';

/** The option that every method has: which head reads the encoder. */
export function headOption(fallback: HeadKind): z.ZodDefault<z.ZodEnum<{ [Kind in HeadKind]: Kind }>> {
  return z
    .enum(['native', 'linear', 'two-layer', 'mask'])
    .default(fallback)
    .describe(
      "Which head reads the encoder: the family's own sequence classifier, one linear map on the first token, two with tanh between them (RoBERTa's own) on the first token, or one linear map on a mask token put after the first sentence.",
    );
}
