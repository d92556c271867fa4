import { z } from 'zod';
import { add, reshape } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';
import { headOption } from './head-option.ts';
import type { LayerPlace, Method, MethodHooks } from './method.ts';
import { declareProjections, projectionOptions } from './random-projection.ts';

const { dimension, ...laws } = projectionOptions;

const options = z.strictObject({
  dimension,
  position: z
    .enum(['output', 'attention', 'intermediate'])
    .default('output')
    .describe(
      "Where a layer is shifted: before its final norm (the paper's), after the attention block's norm, or before the feed-forward activation.",
    ),
  ...laws,
  head: headOption('mask'),
});

/** The module whose bias a shift is, once it is trained. */
const shiftedBias = { output: 'output', attention: 'attentionNorm', intermediate: 'intermediate' } as const;

/**
 * SLaSh (Shared Layer Shift): one trained vector z `[1, d]` for the whole model; layer l is shifted at every token by z W_l with a
 * fixed random W_l `[d, width]` (section 3, figure 1). The shift of a layer is computed once a step, not once a token.
 * Trained: z and one linear map onto the labels; dropout is off.
 */
export const slash: Method<z.infer<typeof options>> = {
  id: 'slash',
  title: 'SLaSh',
  citation:
    'Gupta, Galstyan and Ver Steeg, Jointly Reparametrized Multi-Layer Adaptation for Efficient and Private Tuning, 2023, arXiv 2305.19264',
  description: 'Shifts every layer by fixed random projections of one shared trained vector.',
  options,
  training: { learningRate: 1e-2, weightDecay: 0 },
  privately: { learningRate: 2e-2, maxGradNorm: 8 },
  build: ({ position, head, ...choice }, encoder, scope) => {
    const width = position === 'intermediate' ? encoder.intermediateSize : encoder.hiddenSize;
    const shiftOf = declareProjections('slash', choice, width, scope);
    const shifted = (x: Value, { layer }: LayerPlace): Value => add(x, shiftOf(layer));
    const hooks: Record<typeof position, MethodHooks> = {
      output: { afterFeedForward: shifted },
      attention: { afterAttentionNorm: shifted },
      intermediate: {
        projection: (result, _, projection, place) => (projection === 'intermediate' ? shifted(result, place) : result),
      },
    };
    return {
      hooks: hooks[position],
      head,
      dropout: false,
      folding: {
        kind: 'folds',
        tensor: (value, { module, layer, part }) =>
          module === shiftedBias[position] && part === 'bias' && layer !== undefined
            ? add(value, reshape(shiftOf(layer), value.shape))
            : value,
      },
    };
  },
};
