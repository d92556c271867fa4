import { meanOf, standardDeviationOf } from './sample.ts';
import { studentTail } from './student.ts';

/** One result and the seed that it was trained with. */
export interface SeededScore {
  readonly seed: number;
  readonly score: number;
}

/** What the paired t-test says; `untestable` where its question has no answer. `n` counts the pairs. */
export type TestResult =
  | {
      readonly kind: 'tested';
      readonly n: number;
      readonly meanDifference: number;
      /** t, with n - 1 degrees of freedom. */
      readonly statistic: number;
      /** Two-sided. */
      readonly pValue: number;
    }
  | {
      readonly kind: 'untestable';
      readonly n: number;
      readonly meanDifference: number | null;
      /** `too-few-pairs`: fewer than two seeds in common. `no-variation`: all differences are equal. */
      readonly reason: 'too-few-pairs' | 'no-variation';
    };

/** What differs by less, relative to its size, is equal but for rounding: no metric of a million examples is so fine. */
const ROUNDING = 1e-9;

/** a - b; 0 where they are equal but for rounding. */
function difference(a: number, b: number): number {
  return Math.abs(a - b) <= ROUNDING * Math.max(Math.abs(a), Math.abs(b)) ? 0 : a - b;
}

/** The size below which differences are the rounding of the greatest of them. */
function roundingOf(differences: readonly number[]): number {
  return ROUNDING * differences.reduce((greatest, each) => Math.max(greatest, Math.abs(each)), 0);
}

/** Differences a - b by common seed, in ascending order of the seeds; where a seed occurs twice its last score counts. */
export function differencesBySeed(a: readonly SeededScore[], b: readonly SeededScore[]): readonly number[] {
  const scores = new Map(b.map(({ seed, score }) => [seed, score]));
  const own = new Map(a.map(({ seed, score }) => [seed, score]));
  return [...own]
    .filter(([seed]) => scores.has(seed))
    .sort(([one], [other]) => one - other)
    .map(([seed, score]) => difference(score, scores.get(seed) ?? NaN));
}

/** Student's paired t-test of the hypothesis that the differences have mean 0. */
export function pairedTTest(differences: readonly number[]): TestResult {
  const n = differences.length;
  const meanDifference = n === 0 ? null : meanOf(differences);
  const deviation = standardDeviationOf(differences);
  if (deviation === null || meanDifference === null)
    return { kind: 'untestable', n, meanDifference, reason: 'too-few-pairs' };
  if (deviation <= roundingOf(differences)) return { kind: 'untestable', n, meanDifference, reason: 'no-variation' };
  const statistic = meanDifference / (deviation / Math.sqrt(n));
  const pValue = Math.min(1, 2 * studentTail(Math.abs(statistic), n - 1));
  return { kind: 'tested', n, meanDifference, statistic, pValue };
}

/**
 * Holm's correction (1979) for several tests: p-values, in the order given, that may be held against the level as if each were
 * the only one.
 */
export function holm(pValues: readonly number[]): readonly number[] {
  const order = pValues.map((_, index) => index).sort((a, b) => (pValues[a] as number) - (pValues[b] as number));
  const adjusted = new Array<number>(pValues.length).fill(1);
  let greatest = 0;
  for (const [place, index] of order.entries()) {
    greatest = Math.max(greatest, (pValues.length - place) * (pValues[index] as number));
    adjusted[index] = Math.min(1, greatest);
  }
  return adjusted;
}
