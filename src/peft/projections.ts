import { z } from 'zod';
import type { EncoderSizes, Projection } from './method.ts';

/** The linear maps of a layer, in the order of the forward pass. */
export const projections = [
  'query',
  'key',
  'value',
  'attentionOutput',
  'intermediate',
  'output',
] as const satisfies readonly Projection[];

export const projectionOption = z.enum(projections);

/** The widths of a linear map's input and output. */
export function widthsOf(
  projection: Projection,
  { hiddenSize: hidden, intermediateSize: intermediate }: EncoderSizes,
): readonly [from: number, to: number] {
  if (projection === 'intermediate') return [hidden, intermediate];
  return projection === 'output' ? [intermediate, hidden] : [hidden, hidden];
}
