import { positionsOption } from './bottleneck.ts';
import { compacterOptions, compacterPlan, type CompacterOptions } from './compacter.ts';
import type { Method } from './method.ts';

const options = compacterOptions.extend({ positions: positionsOption.default(['feedForward']) });

/** Compacter++: Compacter with an adapter after the feed-forward block only (section 3.2), so half as many. */
export const compacterPlusPlus: Method<CompacterOptions> = {
  id: 'compacter++',
  title: 'Compacter++',
  citation: 'Karimi Mahabadi et al., Compacter: Efficient Low-Rank Hypercomplex Adapter Layers, 2021, arXiv 2106.04647',
  description: "Compacter's adapters after the feed-forward blocks only.",
  options,
  training: { learningRate: 3e-3, weightDecay: 0, warmup: 0.1 },
  build: (chosen, encoder, scope) => compacterPlan('compacter++', chosen, encoder, scope),
};
