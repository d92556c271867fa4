import { z } from 'zod';
import { denseMap, initOptions, matrixLaw } from './affine.ts';
import { adapterOptions, adapterPlan, commonOptions, type UsualWidth } from './bottleneck.ts';
import type { Method } from './method.ts';

const usual: UsualWidth = { reductionFactor: 16 };

const options = z.strictObject({
  ...adapterOptions({ usual, positions: ['feedForward'], reads: 'input', activation: 'relu', scaling: 4 }),
  ...initOptions({ init: 'kaiming-uniform', initDeviation: 0.02, initGain: 1 }),
  upInit: z
    .enum(['zeros', 'same'])
    .default('zeros')
    .describe('How the projection back to the hidden size starts: from zero, or by the same law as the one down.'),
  ...commonOptions,
});

/**
 * Parallel adapters: beside a sub-layer with input X and output O, O becomes O + s · (W_up relu(W_down X + b_down) + b_up) (table 1,
 * "parallel adapter"; section 4.5 for the scale s). W_down starts from U(-1/√in, 1/√in), W_up from zero, so training starts from the
 * pretrained function.
 */
export const adapterParallel: Method<z.infer<typeof options>> = {
  id: 'adapter-parallel',
  title: 'Adapters (parallel)',
  citation: 'He et al., Towards a Unified View of Parameter-Efficient Transfer Learning, 2022, arXiv 2110.04366',
  description: 'Puts a trained bottleneck beside the feed-forward block of every layer.',
  options,
  training: { learningRate: 1e-3 },
  build: (chosen, encoder, scope) => {
    const down = denseMap((from, to) => matrixLaw(chosen, from, to), scope);
    const up = chosen.upInit === 'same' ? down : denseMap(() => ({ kind: 'zeros' }), scope);
    return adapterPlan(
      { method: 'adapter-parallel', options: chosen, usual, maps: () => ({ down, up }) },
      encoder,
      scope,
    );
  },
};
