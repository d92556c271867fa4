import { checkDelta } from './mechanism.ts';
import { millsRatio, normalCdf, normalDensity } from '../base/normal.ts';

/** A certified interval of epsilon: the true value lies in it. */
export interface EpsilonBounds {
  readonly lower: number;
  readonly upper: number;
}

/**
 * delta of the Gaussian mechanism without sampling at `epsilon`, for sensitivity/noise = μ (Balle and Wang 2018, theorem 8):
 * Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ). With z = μ/2 − ε/μ, e^ε·φ(z − μ) = φ(z), so that both terms share a factor and nothing overflows.
 */
export function gaussianDelta(mu: number, epsilon: number): number {
  const z = mu / 2 - epsilon / mu;
  if (z > 0) return Math.max(0, normalCdf(z) - normalDensity(z) * millsRatio(mu - z));
  return Math.max(0, normalDensity(z) * (millsRatio(-z) - millsRatio(mu - z)));
}

/**
 * Where a decreasing function of ε ≥ 0 falls to `delta`, by bisection to neighbouring doubles.
 * @returns the two sides, widened by what rounding in the function's value can move them
 */
function solveEpsilon(deltaOf: (epsilon: number) => number, delta: number): EpsilonBounds {
  if (deltaOf(0) <= delta) return { lower: 0, upper: 0 };
  let low = 0;
  let high = 1e-12;
  // What is no number certifies nothing.
  while (!(deltaOf(high) <= delta)) {
    low = high;
    high *= 2;
    if (high === Infinity) return { lower: low, upper: Infinity };
  }
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    if (deltaOf(middle) <= delta) high = middle;
    else low = middle;
  }
  const slack = 1e-11;
  return { lower: low * (1 - slack), upper: high * (1 + slack) };
}

/** epsilon of any number of releases without sampling, exact: μ = (Σ steps/σ²)^½, since Gaussian mechanisms compose to a Gaussian one. */
export function gaussianEpsilon(mu: number, delta: number): EpsilonBounds {
  checkDelta(delta);
  return solveEpsilon((epsilon) => gaussianDelta(mu, epsilon), delta);
}

/**
 * delta of a single step with sampling, exact, the worse of both directions. Removing: q·δ_G(log(1 + (e^ε − 1)/q)). Adding: with
 * s = 1 − e^ε(1 − q), which must be positive, s·δ_G(log(e^ε·q/s)) (Balle, Barthe, Gaboardi 2018, theorem 2, and its mirror image).
 */
export function singleStepDelta(q: number, sigma: number, epsilon: number): number {
  const grown = Math.expm1(epsilon) / q;
  const removed = q * gaussianDelta(1 / sigma, grown < 1e300 ? Math.log1p(grown) : epsilon - Math.log(q));
  const share = q - Math.expm1(epsilon) * (1 - q);
  // At share < q·e^ε the logarithm is positive, as it has to be for the Gaussian's formula to hold.
  const added = share > 0 ? share * gaussianDelta(1 / sigma, epsilon + Math.log(q / share)) : 0;
  return Math.max(removed, added);
}

/** epsilon of a single step with sampling, exact. */
export function singleStepEpsilon(q: number, sigma: number, delta: number): EpsilonBounds {
  checkDelta(delta);
  return solveEpsilon((epsilon) => singleStepDelta(q, sigma, epsilon), delta);
}
