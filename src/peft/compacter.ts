import { z } from 'zod';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import { alike, type BottleneckMaps } from './affine.ts';
import { adapterOptions, adapterPlan, commonOptions, houlsbysForm, type UsualWidth } from './bottleneck.ts';
import { checkOrder, hypercomplexMap, hypercomplexOptions, orderOption, ruleDeviationOption } from './hypercomplex.ts';
import type { EncoderSizes, Method, MethodPlan } from './method.ts';

const usual: UsualWidth = { reductionFactor: 32 };

const options = z.strictObject({
  n: orderOption.default(4),
  rank: z.int().positive().max(4096).default(1).describe('r: the rank of each B_i = s_i t_i.'),
  sharedRule: z
    .boolean()
    .default(true)
    .describe('One tensor A for the whole model; false gives every projection its own.'),
  ruleDeviation: ruleDeviationOption(1e-4),
  ...hypercomplexOptions,
  evaluation: z
    .enum(['auto', 'factored', 'explicit'])
    .default('auto')
    .describe('Multiply by the factors one after the other, or by the matrix that they make; auto takes the faster.'),
  ...adapterOptions({ ...houlsbysForm, usual }),
  ...commonOptions,
});

export const compacterOptions = options;
export type CompacterOptions = z.infer<typeof options>;

/** Compacter's adapters under the name of one of its methods. @throws UserError when n does not divide both widths */
export function compacterPlan(
  method: string,
  chosen: CompacterOptions,
  encoder: EncoderSizes,
  scope: ParameterScope,
): MethodPlan {
  const maps = (width: number): BottleneckMaps => {
    checkOrder(method, chosen.n, encoder.hiddenSize, width);
    return alike(hypercomplexMap(chosen, scope));
  };
  return adapterPlan({ method, options: chosen, usual, maps }, encoder, scope);
}

/**
 * Compacter: after the attention and the feed-forward block O becomes O + up(gelu(down(O))), both projections low-rank hypercomplex maps
 * (LPHM) x Σ_i A_i ⊗ (s_i t_i) + b, with one A `[n, n, n]` for the whole model (section 3, equations 4 and 5). The authors' code uses the
 * tanh form of gelu and, on T5, trains the layer norms; here that is the option `trainNorms`.
 */
export const compacter: Method<CompacterOptions> = {
  id: 'compacter',
  title: 'Compacter',
  citation: 'Karimi Mahabadi et al., Compacter: Efficient Low-Rank Hypercomplex Adapter Layers, 2021, arXiv 2106.04647',
  description: 'Adapters of low-rank Kronecker products that share their rule across the whole model.',
  options,
  training: { learningRate: 3e-3, weightDecay: 0, warmup: 0.1 },
  build: (chosen, encoder, scope) => compacterPlan('compacter', chosen, encoder, scope),
};
