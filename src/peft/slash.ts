import { z } from 'zod';
import { add, reshape } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';
import { headOption } from './head-option.ts';
import type { EncoderTensor, LayerPlace, Method, MethodHooks } from './method.ts';
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

/** What a shift acts on, and the module whose bias it is once it is trained. */
const places = {
  output: { place: { on: 'block', map: 'output' }, bias: 'output' },
  attention: { place: { on: 'norm', map: 'attentionOutput' }, bias: 'attentionNorm' },
  intermediate: { place: { on: 'result', map: 'intermediate' }, bias: 'intermediate' },
} as const;

/**
 * SLaSh (Shared Layer Shift): one trained vector z `[1, d]` for the whole model; layer l is shifted at every token by z W_l with a
 * fixed random W_l `[d, width]` (section 3, figure 1). The shift of a layer is computed once a step, not once a token.
 * Trained: z and one linear map onto the labels; dropout is off unless the configuration gives a rate.
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
    const { place, bias } = places[position];
    const hooks: Record<typeof position, MethodHooks> = {
      output: { afterFeedForward: shifted },
      attention: { afterAttentionNorm: shifted },
      intermediate: {
        projection: (result, _, projection, at) => (projection === 'intermediate' ? shifted(result, at) : result),
      },
    };
    return {
      hooks: hooks[position],
      head,
      dropout: false,
      acts: [{ ...place, does: 'adds', reads: [] }],
      folding: {
        kind: 'folds',
        steps: {
          [place.on === 'result' ? 'results' : 'blocks']: (value: Value, { module, layer, part }: EncoderTensor) =>
            module === bias && part === 'bias' && layer !== undefined
              ? add(value, reshape(shiftOf(layer), value.shape))
              : value,
        },
      },
    };
  },
};
