import { normalTail } from './normal.ts';
import { meanOf, standardDeviationOf } from './sample.ts';
import { studentTail } from './student.ts';

/** One result and the seed that it was trained with. */
export interface SeededScore {
  readonly seed: number;
  readonly score: number;
}

export type PairedTest = 'paired-t' | 'wilcoxon';

/** What a test says; `untestable` where its question has no answer. */
export type TestResult =
  | {
      readonly kind: 'tested';
      readonly test: PairedTest;
      /** Pairs; for Wilcoxon's test those that differ. */
      readonly n: number;
      readonly meanDifference: number;
      /** t, or the sum of the ranks of the positive differences. */
      readonly statistic: number;
      /** Two-sided. */
      readonly pValue: number;
    }
  | {
      readonly kind: 'untestable';
      readonly test: PairedTest;
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

function untestable(
  test: PairedTest,
  differences: readonly number[],
  reason: Extract<TestResult, { kind: 'untestable' }>['reason'],
): TestResult {
  const meanDifference = differences.length === 0 ? null : meanOf(differences);
  return { kind: 'untestable', test, n: differences.length, meanDifference, reason };
}

/** Student's paired t-test of the hypothesis that the differences have mean 0. */
export function pairedTTest(differences: readonly number[]): TestResult {
  const n = differences.length;
  const deviation = standardDeviationOf(differences);
  if (deviation === null) return untestable('paired-t', differences, 'too-few-pairs');
  if (deviation <= roundingOf(differences)) return untestable('paired-t', differences, 'no-variation');
  const meanDifference = meanOf(differences);
  const statistic = meanDifference / (deviation / Math.sqrt(n));
  const pValue = Math.min(1, 2 * studentTail(Math.abs(statistic), n - 1));
  return { kind: 'tested', test: 'paired-t', n, meanDifference, statistic, pValue };
}

/** Ranks from 1 by size; sizes that are equal but for rounding share the mean of their ranks. */
function ranksOf(sizes: readonly number[], rounding: number): number[] {
  const order = sizes.map((_, index) => index).sort((a, b) => (sizes[a] as number) - (sizes[b] as number));
  const ranks = new Array<number>(sizes.length).fill(0);
  for (let begin = 0; begin < order.length;) {
    let end = begin;
    while (
      end < order.length &&
      (sizes[order[end] as number] as number) - (sizes[order[begin] as number] as number) <= rounding
    )
      end++;
    for (let i = begin; i < end; i++) ranks[order[i] as number] = (begin + 1 + end) / 2;
    begin = end;
  }
  return ranks;
}

/** Up to this many pairs the distribution is counted out; beyond it the normal approximation is as good. */
const mostExact = 200;

/** P(W ≤ w) and P(W ≥ w) when each rank is positive or not by the toss of a coin. */
function exactTails(ranks: readonly number[], statistic: number): readonly [low: number, high: number] {
  // Shared ranks are halves, so everything is counted in halves.
  const halves = ranks.map((rank) => Math.round(2 * rank));
  const total = halves.reduce((sum, half) => sum + half, 0);
  const chances = new Float64Array(total + 1);
  chances[0] = 1;
  let reached = 0;
  for (const half of halves) {
    reached += half;
    for (let sum = reached; sum >= 0; sum--)
      chances[sum] = 0.5 * ((chances[sum] as number) + (sum >= half ? (chances[sum - half] as number) : 0));
  }
  const at = Math.round(2 * statistic);
  const low = chances.subarray(0, at + 1).reduce((sum, chance) => sum + chance, 0);
  const high = chances.subarray(at).reduce((sum, chance) => sum + chance, 0);
  return [low, high];
}

/** Two-sided, with the corrections for ties and for continuity. */
function approximateP(ranks: readonly number[], statistic: number): number {
  const mean = ranks.reduce((sum, rank) => sum + rank, 0) / 2;
  const deviation = Math.sqrt(ranks.reduce((sum, rank) => sum + rank * rank, 0) / 4);
  return Math.min(1, 2 * normalTail(Math.max(0, Math.abs(statistic - mean) - 0.5) / deviation));
}

/**
 * Wilcoxon's signed-rank test of the hypothesis that the differences lie symmetrically around 0. Differences of 0 are left out
 * (Wilcoxon 1945). Exact up to 200 pairs, ties included. With fewer than six pairs it can't reach 0.05.
 */
export function wilcoxonTest(differences: readonly number[]): TestResult {
  const rounding = roundingOf(differences);
  const different = differences.filter((each) => Math.abs(each) > rounding);
  if (differences.length < 2) return untestable('wilcoxon', differences, 'too-few-pairs');
  if (different.length === 0) return untestable('wilcoxon', differences, 'no-variation');
  const ranks = ranksOf(different.map(Math.abs), rounding);
  const statistic = ranks.reduce((sum, rank, index) => sum + ((different[index] as number) > 0 ? rank : 0), 0);
  const pValue =
    different.length <= mostExact
      ? Math.min(1, 2 * Math.min(...exactTails(ranks, statistic)))
      : approximateP(ranks, statistic);
  return {
    kind: 'tested',
    test: 'wilcoxon',
    n: different.length,
    meanDifference: meanOf(differences),
    statistic,
    pValue,
  };
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

export interface Sample {
  readonly label: string;
  readonly scores: readonly SeededScore[];
}

/** The test of one pair of samples among several. */
export interface PairResult {
  readonly a: string;
  readonly b: string;
  readonly result: TestResult;
  /** Corrected for the number of pairs that could be tested; null where this one could not. */
  readonly adjustedP: number | null;
}

/** Tests every pair of samples by their common seeds, with Holm's correction over all of them. */
export function compareAllPairs(samples: readonly Sample[], test: PairedTest = 'paired-t'): readonly PairResult[] {
  const run = test === 'paired-t' ? pairedTTest : wilcoxonTest;
  const pairs = samples.flatMap((a, index) => samples.slice(index + 1).map((b) => ({ a, b })));
  const results = pairs.map(({ a, b }) => run(differencesBySeed(a.scores, b.scores)));
  const tested = results.filter((result) => result.kind === 'tested');
  const adjusted = new Map(holm(tested.map(({ pValue }) => pValue)).map((p, index) => [tested[index], p]));
  return pairs.map(({ a, b }, index) => {
    const result = results[index] as TestResult;
    return {
      a: a.label,
      b: b.label,
      result,
      adjustedP: result.kind === 'tested' ? (adjusted.get(result) ?? null) : null,
    };
  });
}
