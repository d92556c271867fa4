import { randomStream } from '../base/random.ts';
import { studentUpperQuantile } from './student.ts';

/** How the interval of a mean is found: by Student's t, which takes the values for normal, or by the bootstrap. */
export type IntervalMethod = 'student' | 'bootstrap';

export interface IntervalOptions {
  readonly method?: IntervalMethod;
  /** The share of such intervals that hold the true mean; 0.95 unless said otherwise. */
  readonly level?: number;
  /** Of the bootstrap: how many samples are drawn (10,000), and the seed that they are drawn by (0). */
  readonly resamples?: number;
  readonly seed?: number;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
  readonly level: number;
  readonly method: IntervalMethod;
}

/** What is known of a sample. With one value there is no spread and no interval: they are null, never zero. */
export interface SampleSummary {
  readonly n: number;
  readonly mean: number;
  readonly median: number;
  /** With the divisor n - 1. */
  readonly standardDeviation: number | null;
  readonly interval: Interval | null;
  readonly values: readonly number[];
}

/** The mean, exact where all values are equal. The sample must not be empty. */
export function meanOf(values: readonly number[]): number {
  const [first = NaN] = values;
  return first + values.reduce((sum, value) => sum + (value - first), 0) / values.length;
}

/** The standard deviation with the divisor n - 1, or null for fewer than two values. */
export function standardDeviationOf(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}

/** The value below which a share `p` of the sorted sample lies, interpolated linearly (type 7 of Hyndman and Fan 1996). */
function quantileOf(sorted: ArrayLike<number>, p: number): number {
  const place = (sorted.length - 1) * p;
  const below = Math.floor(place);
  const [low, high] = [sorted[below] as number, sorted[Math.min(below + 1, sorted.length - 1)] as number];
  return low + (place - below) * (high - low);
}

/** The middle value, or the mean of the two in the middle. */
export function medianOf(values: readonly number[]): number {
  return quantileOf(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

function studentInterval(values: readonly number[], level: number): Interval {
  const half =
    (studentUpperQuantile((1 - level) / 2, values.length - 1) * (standardDeviationOf(values) ?? 0)) /
    Math.sqrt(values.length);
  const mean = meanOf(values);
  return { low: mean - half, high: mean + half, level, method: 'student' };
}

/**
 * The percentile bootstrap of the mean (Efron 1979). For fewer than about ten values it is too narrow, because it can't reach
 * beyond the values that were seen.
 */
function bootstrapInterval(values: readonly number[], level: number, resamples: number, seed: number): Interval {
  const random = randomStream(seed, 'bootstrap');
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    const drawn = Array.from(values, () => values[random.below(values.length)] as number);
    means[resample] = meanOf(drawn);
  }
  means.sort();
  const tail = (1 - level) / 2;
  return { low: quantileOf(means, tail), high: quantileOf(means, 1 - tail), level, method: 'bootstrap' };
}

/** The interval of the mean, or null for fewer than two values. @throws RangeError for a level outside (0, 1) */
export function intervalOf(values: readonly number[], options: IntervalOptions = {}): Interval | null {
  const { method = 'student', level = 0.95, resamples = 10_000, seed = 0 } = options;
  if (!(level > 0 && level < 1)) throw new RangeError(`${level} is not a level between 0 and 1`);
  if (values.length < 2) return null;
  return method === 'student' ? studentInterval(values, level) : bootstrapInterval(values, level, resamples, seed);
}

/** Summarises finite values; null when there are none. */
export function summarise(values: readonly number[], options: IntervalOptions = {}): SampleSummary | null {
  if (values.length === 0) return null;
  return {
    n: values.length,
    mean: meanOf(values),
    median: medianOf(values),
    standardDeviation: standardDeviationOf(values),
    interval: intervalOf(values, options),
    values,
  };
}
