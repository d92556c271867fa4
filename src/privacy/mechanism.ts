/**
 * The mechanism that is accounted: each record enters a batch with probability q (Poisson sampling), the clipped contributions are
 * summed, and N(0, σ²C²) is added to every coordinate. Neighbours differ by one record, added or removed. Scaled by the clipping
 * norm C, one step is dominated by the scalar pair
 *
 *   P = (1 − q)·N(0, σ²) + q·N(1, σ²)   and   Q = N(0, σ²)
 *
 * read as (P, Q) when the record is removed and as (Q, P) when it is added (Zhu, Dong, Wang 2022, "Optimal accounting of
 * differential privacy via characteristic function", proposition 30). Each of the two is composed with itself; the guarantee is the worse of them.
 */

/** Some steps of the mechanism under one rate and one noise. */
export interface Phase {
  /** q: the probability with which each record enters a batch. */
  readonly samplingRate: number;
  /** σ: the noise's standard deviation as a multiple of the clipping norm. */
  readonly noiseMultiplier: number;
  /** How often the mechanism was run; an empty batch counts. */
  readonly steps: number;
}

/** The least rate and delta that are accounted; the square of less would not be a number above 0. */
const leastRate = 1e-30;
export const leastDelta = 1e-100;

/** A phase whose values make no sense. Callers check what users give; this is the last line. */
export function checkPhase({ samplingRate, noiseMultiplier, steps }: Phase): void {
  if (!(samplingRate === 0 || (samplingRate >= leastRate && samplingRate <= 1)))
    throw new RangeError(`sampling rate ${samplingRate} is neither 0 nor in [${leastRate}, 1]`);
  if (!(noiseMultiplier >= 0 && noiseMultiplier < Infinity))
    throw new RangeError(`noise multiplier ${noiseMultiplier} is not a number from 0`);
  if (!Number.isSafeInteger(steps) || steps < 0) throw new RangeError(`steps ${steps} is not a whole number from 0`);
}

/** Refuses a delta that is no probability, or that doubles cannot tell from 0. @throws RangeError */
export function checkDelta(delta: number): void {
  if (!(delta >= leastDelta && delta < 1)) throw new RangeError(`delta ${delta} is not in [${leastDelta}, 1)`);
}

/**
 * The phases in the fewest terms that compose to the same: equal ones joined, those that release nothing left out, and all
 * unsampled ones (q = 1) as steps of one noise with the same Σ steps/σ², which is exact since Gaussians compose to Gaussians (Dong, Roth, Su
 * 2019, corollary 3.3), and so many of them that none has less noise than a twentieth of the sensitivity, which would take long to integrate.
 * @returns undefined where some phase adds no noise at all, so that nothing is guaranteed
 */
export function normalise(phases: readonly Phase[]): readonly Phase[] | undefined {
  const joined = new Map<string, Phase>();
  let precision = 0;
  for (const phase of phases) {
    checkPhase(phase);
    const { samplingRate, noiseMultiplier, steps } = phase;
    if (steps === 0 || samplingRate === 0) continue;
    if (noiseMultiplier === 0) return undefined;
    if (samplingRate === 1) {
      precision += steps / noiseMultiplier ** 2;
      continue;
    }
    const key = `${samplingRate} ${noiseMultiplier}`;
    joined.set(key, { ...phase, steps: steps + (joined.get(key)?.steps ?? 0) });
  }
  if (precision === Infinity) return undefined;
  const sampled = [...joined.values()];
  if (precision === 0) return sampled;
  const steps = Math.max(1, Math.ceil(precision / 400));
  return [...sampled, { samplingRate: 1, noiseMultiplier: Math.sqrt(steps / precision), steps }];
}

/**
 * The privacy loss log(dP/dQ) at x when a record is removed: log(1 + q·(exp((2x − 1)/2σ²) − 1)). When one is added, the loss is its
 * negative, and x comes from Q instead of P.
 */
export function privacyLoss(q: number, sigma: number, x: number): number {
  const y = (2 * x - 1) / (2 * sigma * sigma);
  if (q === 1) return y;
  if (y < 30) return Math.log1p(q * Math.expm1(y));
  const shifted = y + Math.log(q);
  return shifted > 40 ? shifted : shifted + Math.log1p(((1 - q) / q) * Math.exp(-y));
}

/** y = (2x − 1)/2σ² where the loss is `loss`: log((exp(loss) − (1 − q))/q), for loss > log(1 − q). */
export function scaledPositionOfLoss(q: number, loss: number): number {
  if (q === 1) return loss;
  return loss > 1 ? loss - Math.log(q) + Math.log1p(-(1 - q) * Math.exp(-loss)) : Math.log1p(Math.expm1(loss) / q);
}
