import { z } from 'zod';
import { alike } from './affine.ts';
import { adapterOptions, adapterPlan, commonOptions, houlsbysForm, type UsualWidth } from './bottleneck.ts';
import { checkOrder, hypercomplexMap, hypercomplexOptions, orderOption, ruleDeviationOption } from './hypercomplex.ts';
import type { Method } from './method.ts';

const usual: UsualWidth = { reductionFactor: 32 };

const options = z.strictObject({
  n: orderOption.default(4),
  sharedRule: z.boolean().default(false).describe('One tensor A for the whole model in place of one a projection.'),
  ruleDeviation: ruleDeviationOption(0.01),
  ...hypercomplexOptions,
  ...adapterOptions({ ...houlsbysForm, usual }),
  ...commonOptions,
});

/**
 * PHM adapters: Houlsby's adapters whose two projections are hypercomplex maps x Σ_i A_i ⊗ B_i + b with whole B_i and, in every
 * projection, an A of its own (section 3.1, equation 3). The authors' configuration has n = 12.
 */
export const adapterPhm: Method<z.infer<typeof options>> = {
  id: 'adapter-phm',
  title: 'Adapters (PHM)',
  citation: 'Karimi Mahabadi et al., Compacter: Efficient Low-Rank Hypercomplex Adapter Layers, 2021, arXiv 2106.04647',
  description: 'Adapters whose projections are sums of Kronecker products.',
  options,
  training: { learningRate: 3e-3, weightDecay: 0, warmup: 0.1 },
  build: (chosen, encoder, scope) =>
    adapterPlan(
      {
        method: 'adapter-phm',
        options: chosen,
        usual,
        maps: (width) => {
          checkOrder('adapter-phm', chosen.n, encoder.hiddenSize, width);
          const map = hypercomplexMap({ ...chosen, rank: undefined, evaluation: 'explicit' }, scope);
          return alike(map);
        },
      },
      encoder,
      scope,
    ),
};
