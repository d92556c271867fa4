import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import type { EncoderSizes } from './method.ts';

/** The option of methods that may act in some layers only. */
export function layersOption(what: string): z.ZodOptional<z.ZodArray<z.ZodInt>> {
  return z
    .array(z.int().nonnegative())
    .nonempty()
    .optional()
    .describe(`The layers that have ${what}, counted from 0; all by default.`);
}

/** The layers in which a method acts. @throws UserError when the encoder has no such layer */
export function chosenLayers(
  method: string,
  layers: readonly number[] | undefined,
  encoder: Pick<EncoderSizes, 'layers'>,
): ReadonlySet<number> {
  const missing = layers?.find((layer) => layer >= encoder.layers);
  if (missing !== undefined) {
    throw new UserError(
      `${method}: layers names ${missing}, but the encoder has ${encoder.layers} layers, counted from 0`,
      `Name layers from 0 to ${encoder.layers - 1}.`,
    );
  }
  return new Set(layers ?? Array.from({ length: encoder.layers }, (_, layer) => layer));
}
