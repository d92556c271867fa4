import { z } from 'zod';
import { alike, initOptions, lowRankMap } from './affine.ts';
import { adapterOptions, adapterPlan, commonOptions, houlsbysForm, type UsualWidth } from './bottleneck.ts';
import type { Method } from './method.ts';

const usual: UsualWidth = { reductionFactor: 32 };

const options = z.strictObject({
  rank: z.int().positive().max(4096).default(1).describe('r: the inner width of each projection L R.'),
  ...adapterOptions({ ...houlsbysForm, usual }),
  ...initOptions({ init: 'glorot-uniform', initDeviation: 0.01, initGain: Math.SQRT2 }),
  ...commonOptions,
});

/**
 * Low-rank adapters: Houlsby's adapters whose two projections are products of rank r, x L R + b with L `[in, r]`, R `[r, out]`
 * (section 4.2, "Adapter-LowRank"; the paper has r = 1).
 */
export const adapterLowRank: Method<z.infer<typeof options>> = {
  id: 'adapter-low-rank',
  title: 'Adapters (low rank)',
  citation: 'Karimi Mahabadi et al., Compacter: Efficient Low-Rank Hypercomplex Adapter Layers, 2021, arXiv 2106.04647',
  description: 'Adapters whose projections are products of two thin matrices.',
  options,
  training: { learningRate: 3e-3, weightDecay: 0, warmup: 0.1 },
  build: (chosen, encoder, scope) => {
    const map = lowRankMap(chosen.rank, chosen, scope);
    return adapterPlan({ method: 'adapter-low-rank', options: chosen, usual, maps: () => alike(map) }, encoder, scope);
  },
};
