import { add, divide, less, multiply, sqrt, where } from './operations.ts';
import { multipliedOut, squaredNorm, weightedSum, type PerExampleGradient } from './per-example-gradient.ts';
import type { Value } from './value.ts';

/** Rounding may leave less than nothing of a sum that is zero; a NaN stays one. */
function notNegative(x: Value): Value {
  return where(less(x, 0), 0, x);
}

export interface ClippedSums {
  /** Norm of each example's gradient over all parameters together, before clipping; `[batch]`. */
  readonly norms: Value;
  /** Σ_b factor_b · gradient of example b, one a parameter. */
  readonly sums: readonly Value[];
}

/**
 * What each example's gradient g is multiplied with, such that its norm stays within C:
 * - `flat`: min(1, C/(‖g‖ + 1e-6)) (Abadi et al. 2016; the small number is that of Opacus and of torch's own clipping);
 * - `automatic`: C/(‖g‖ + γ) with γ = 0.01 (Bu, Wang, Zha, Karypis 2023, AUTO-S): all directions count alike, and C only scales the sum.
 */
export type ClippingFunction = 'flat' | 'automatic';

/** What is added to a norm that a clipping divides by: as Opacus has it, and γ of automatic clipping, its authors' own. */
const STABILITY: Readonly<Record<ClippingFunction, number>> = { flat: 1e-6, automatic: 0.01 };

export interface ClippingOptions {
  /** `[batch]`: multiplies each example's clipped gradient; 0 leaves out an example that only fills the batch. */
  readonly weights?: Value;
  readonly clipping?: ClippingFunction;
}

/**
 * Clipping by one norm over all parameters jointly (Abadi et al. 2016, algorithm 1): each example is scaled to at most `maxNorm`
 * (a scalar) and summed over the batch. Only the sums and the norms leave the graph.
 */
export function clippedSums(
  gradients: readonly PerExampleGradient[],
  parameters: readonly Value[],
  maxNorm: Value,
  { weights, clipping = 'flat' }: ClippingOptions = {},
): ClippedSums {
  const formed = gradients.map((gradient, index) => {
    const leaf = parameters[index];
    if (leaf === undefined) throw new Error('one gradient a parameter');
    return { leaf, gradient: multipliedOut(gradient, leaf.shape) };
  });
  const squared = formed.map(({ gradient }) => squaredNorm(gradient));
  const total = squared.map(({ value }) => value).reduce(add);
  const slacks = squared.flatMap(({ slack }) => slack ?? []);
  const norms = sqrt(notNegative(total));
  // What an example is clipped by is no less than its norm, however its parts cancel.
  const bound = slacks.length === 0 ? norms : sqrt(notNegative(slacks.reduce(add, total)));
  const divisor = add(bound, STABILITY[clipping]);
  const ratio = divide(maxNorm, divisor);
  const scale = clipping === 'automatic' ? ratio : where(less(maxNorm, divisor), ratio, 1);
  const factors = weights === undefined ? scale : multiply(scale, weights);
  return { norms, sums: formed.map(({ gradient, leaf }) => weightedSum(gradient, factors, leaf.shape)) };
}
