import { checkDelta, normalise, privacyLoss, type Phase } from './mechanism.ts';
import { minimisePositive } from './minimise.ts';

/** (1 + u)^(1 + θ) − 1 − (1 + θ)·u for u = expm1(loss), without cancellation. */
function excessPower(theta: number, loss: number): number {
  const u = Math.expm1(loss);
  if (Math.max(1, 1 + theta) * Math.abs(u) < 0.02) {
    let term = 0.5 * (1 + theta) * theta * u * u;
    let sum = term;
    for (let k = 2; Math.abs(term) > Math.abs(sum) * 1e-17; k++) {
      term *= ((1 + theta - k) / (k + 1)) * u;
      sum += term;
    }
    return sum;
  }
  return (1 + u) * Math.expm1(theta * loss) - theta * u;
}

/** What quadrature and rounding can be off by, relatively; added so that the result is a bound. */
const slack = 1e-11;

/** How many points a quadrature may have; beyond, an order is passed over, which costs tightness at most. */
const mostPoints = 400_000;

/**
 * log A_α of the subsampled Gaussian at the real order α = 1 + θ > 1, where (α − 1)·RDP(α) = log A_α and
 *
 *   A_α − 1 = E_{x ~ N(0, σ²)}[(1 + u)^α − 1 − αu],   u = q·(exp((2x − 1)/2σ²) − 1)
 *
 * (Mironov, Talwar, Zhang 2019; the linear term integrates to nothing and takes the cancellation with it). By the trapezoidal rule: the
 * integrand is analytic up to the branch points at distance πσ² from the real line, and on a line at distance a < πσ² no greater than exp(a²/2σ²)
 * times what it is on the real one, so the rule's relative error is at most about 2·exp(a²/2σ² − 2πa/h): below 1e-16 for the step h chosen here.
 * @returns Infinity where the quadrature would be too long
 */
function logMoment(q: number, sigma: number, theta: number): number {
  if (q === 0) return 0;
  if (q === 1) return (theta * (1 + theta)) / (2 * sigma * sigma);
  const h = Math.min(sigma / 8, (sigma * sigma) / 2.5);
  const from = -10 * sigma;
  const points = Math.ceil((1 + theta + 20 * sigma) / h);
  if (!(points <= mostPoints)) return Infinity;
  const alpha = 1 + theta;
  const scale = 1 / (2 * sigma * sigma);
  const norm = h / (sigma * Math.sqrt(2 * Math.PI));
  let greatest = -Infinity;
  const losses = new Float64Array(points + 1);
  for (let i = 0; i <= points; i++) {
    const x = from + i * h;
    const loss = privacyLoss(q, sigma, x);
    losses[i] = loss;
    greatest = Math.max(greatest, alpha * loss - x * x * scale);
  }
  let sum = 0;
  if (greatest > 300) {
    // A_α is so large that the 1 in it is nothing.
    for (let i = 0; i <= points; i++) {
      const x = from + i * h;
      sum += Math.exp(alpha * (losses[i] as number) - x * x * scale - greatest);
    }
    return greatest + Math.log(sum * norm);
  }
  for (let i = 0; i <= points; i++) {
    const x = from + i * h;
    const loss = losses[i] as number;
    const exponent = -x * x * scale;
    sum +=
      theta * loss > 100 || loss > 100
        ? Math.exp(alpha * loss + exponent) - alpha * Math.exp(loss + exponent) + theta * Math.exp(exponent)
        : excessPower(theta, loss) * Math.exp(exponent);
  }
  return Math.log1p(sum * norm);
}

/** The Rényi divergence of real order α > 1 that one step costs (the removal of a record, which is the worse direction: Mironov, Talwar, Zhang 2019). */
export function renyiDivergence(q: number, sigma: number, alpha: number): number {
  if (!(alpha > 1)) throw new RangeError(`order ${alpha} is not above 1`);
  return logMoment(q, sigma, alpha - 1) / (alpha - 1);
}

/** The Kullback-Leibler divergence of one step, which is RDP at order 1: E_Q[(1 + u)·log(1 + u) − u]. */
function klDivergence(q: number, sigma: number): number {
  if (q === 1) return 1 / (2 * sigma * sigma);
  const h = Math.min(sigma / 8, (sigma * sigma) / 2.5);
  const points = Math.ceil((1 + 20 * sigma) / h);
  if (!(points <= mostPoints)) return Infinity;
  let sum = 0;
  for (let i = 0; i <= points; i++) {
    const x = -10 * sigma + i * h;
    const loss = privacyLoss(q, sigma, x);
    const exponent = (-x * x) / (2 * sigma * sigma);
    if (Math.abs(loss) < 1e-3) sum += 0.5 * loss * loss * (1 + (2 * loss) / 3 + (loss * loss) / 4) * Math.exp(exponent);
    else if (loss < 300) sum += (Math.exp(loss) * loss - Math.expm1(loss)) * Math.exp(exponent);
    else sum += (loss - 1) * Math.exp(loss + exponent);
  }
  return (sum * h) / (sigma * Math.sqrt(2 * Math.PI));
}

/**
 * log E_Q[(dQ/dP)^θ], which is what {@link logMoment} is for the other direction, where a record is added: E_Q[(1 + u)^−θ]. Also by the trapezoidal
 * rule; on a line at distance a from the real one the integrand grows by at most cos(a/σ²)^−θ, hence the finer step at large θ.
 * @returns at least the true value
 */
function logMomentOfAdding(q: number, sigma: number, theta: number): number {
  if (q === 1) return (theta * (1 + theta)) / (2 * sigma * sigma);
  const reach = 14 * sigma;
  const points = Math.ceil((2 * reach) / Math.min(sigma / 8, (sigma * sigma) / (2.5 + 2 * Math.sqrt(theta))));
  if (!(points <= mostPoints)) return Infinity;
  const h = (2 * reach) / points;
  let sum = 0;
  for (let i = 0; i <= points; i++) {
    const x = i * h - reach;
    sum += Math.expm1(-theta * privacyLoss(q, sigma, x)) * Math.exp((-x * x) / (2 * sigma * sigma));
  }
  // Beyond the range lies 1e-44 of Q, where (1 + u)^−θ is at most (1 − q)^−θ; each term's rounding is of the size of its exponent.
  const greatest = -theta * Math.log1p(-q);
  return Math.log1p(
    (sum * h) / (sigma * Math.sqrt(2 * Math.PI)) + 1e-44 * Math.exp(greatest) + 1e-15 * Math.expm1(greatest),
  );
}

/** An upper bound of ε against the addition of a record alone, from Rényi divergences; by {@link rdpEpsilon}'s conversion. */
export function rdpEpsilonOfAdding(phases: readonly Phase[], delta: number): number {
  const numerator = (theta: number): number =>
    phases.reduce(
      (sum, { samplingRate, noiseMultiplier, steps }) =>
        sum + steps * logMomentOfAdding(samplingRate, noiseMultiplier, theta),
      0,
    ) -
    Math.log(delta) -
    theta * Math.log1p(1 / theta) -
    Math.log1p(theta);
  const { value } = minimisePositive((theta) => numerator(theta) / theta, 1, { tolerance: 1e-3 });
  return Math.max(0, value) * (1 + slack);
}

export interface RdpEpsilon {
  readonly epsilon: number;
  /** The order α at which it was found; undefined where no order was needed. */
  readonly order: number | undefined;
}

/**
 * The Rényi accountant: the smallest ε over all real orders α > 1 of R(α) + log(1 − 1/α) − log(δα)/(α − 1), where R is the sum of the steps'
 * divergences (Canonne, Kamath, Steinke 2020, proposition 12; Balle et al. 2020, theorem 21). With θ = α − 1 this is a convex function of θ over θ (log A is
 * convex, and θ·log θ − (1 + θ)·log(1 + θ) is), hence quasi-convex, so that the search can't end in a wrong valley. ε = 0 where the total
 * variation √(1 − e^−KL) does not exceed δ (Bretagnolle and Huber 1979).
 */
export function rdpEpsilon(phases: readonly Phase[], delta: number): RdpEpsilon {
  checkDelta(delta);
  const parts = normalise(phases);
  if (parts === undefined) return { epsilon: Infinity, order: undefined };
  if (parts.length === 0) return { epsilon: 0, order: undefined };
  const total = (one: (part: Phase) => number): number =>
    parts.reduce((sum, part) => sum + part.steps * one(part), 0) * (1 + slack);
  const kl = total(({ samplingRate, noiseMultiplier }) => klDivergence(samplingRate, noiseMultiplier));
  if (-Math.expm1(-kl) <= delta * delta) return { epsilon: 0, order: undefined };
  const numerator = (theta: number): number =>
    total(({ samplingRate, noiseMultiplier }) => logMoment(samplingRate, noiseMultiplier, theta)) -
    Math.log(delta) -
    theta * Math.log1p(1 / theta) -
    Math.log1p(theta);
  const { at, value } = minimisePositive((theta) => numerator(theta) / theta, 1);
  return { epsilon: Math.max(0, value) * (1 + slack), order: 1 + at };
}
