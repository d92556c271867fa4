import { z } from 'zod';
import { alike, denseMap, initOptions, matrixLaw } from './affine.ts';
import { adapterOptions, adapterPlan, commonOptions, type UsualWidth } from './bottleneck.ts';
import type { Method } from './method.ts';

const usual: UsualWidth = { reductionFactor: 16 };

const options = z.strictObject({
  ...adapterOptions({ usual, positions: ['feedForward'], reads: 'normalised', activation: 'relu', scaling: 1 }),
  ...initOptions({ init: 'normal', initDeviation: 0.02, initGain: 1 }),
  ...commonOptions,
});

/**
 * Pfeiffer's adapters: one a layer, after the feed-forward block. In the order of the authors' library the adapter reads
 * u = LayerNorm(X + O), its result is added to O itself, and the pretrained norm is used a second time on the sum:
 * Y = LayerNorm(X + O + W_up relu(W_down u + b_down) + b_up) (equation 1 of the authors' MAD-X, 2020, arXiv 2005.00052, which writes it
 * down). Karimi Mahabadi et al. call by this name one adapter after the attention block that reads O: `positions: ["attention"]`,
 * `reads: "output"`.
 */
export const adapterPfeiffer: Method<z.infer<typeof options>> = {
  id: 'adapter-pfeiffer',
  title: 'Adapters (Pfeiffer)',
  citation:
    'Pfeiffer et al., AdapterFusion: Non-Destructive Task Composition for Transfer Learning, 2021, arXiv 2005.00247',
  description: 'Puts one trained bottleneck after the feed-forward block of every layer.',
  options,
  training: { learningRate: 1e-3 },
  privately: { learningRate: 1e-2 },
  build: (chosen, encoder, scope) => {
    const map = denseMap((from, to) => matrixLaw(chosen, from, to), scope);
    return adapterPlan({ method: 'adapter-pfeiffer', options: chosen, usual, maps: () => alike(map) }, encoder, scope);
  },
};
