import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compareAllPairs,
  differencesBySeed,
  holm,
  pairedTTest,
  wilcoxonTest,
  type TestResult,
} from '../../../src/analysis/significance.ts';

function pOf(result: TestResult): number {
  return result.kind === 'tested' ? result.pValue : NaN;
}

// Depression scores of nine patients before and after (Hollander and Wolfe, table 3.1).
const before = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3];
const after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
const hollander = before.map((value, index) => value - (after[index] ?? NaN));

// Heights of Darwin's maize (Wilcoxon's usual example).
const darwin = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75];

describe('tests by seed', () => {
  it('pair by the common seeds', () => {
    const a = [3, 1, 2].map((seed) => ({ seed, score: seed * 10 }));
    const b = [2, 3, 4].map((seed) => ({ seed, score: seed }));
    expect(differencesBySeed(a, b)).toEqual([18, 27]);
  });

  it('agree with published results', () => {
    expect(wilcoxonTest(hollander)).toMatchObject({ kind: 'tested', n: 9, statistic: 40 });
    expect(pOf(wilcoxonTest(hollander))).toBeCloseTo(0.0390625, 12);
    expect(pOf(wilcoxonTest(darwin))).toBeCloseTo(0.041259765625, 12);
    const result = pairedTTest(hollander);
    expect(result).toMatchObject({ kind: 'tested', n: 9 });
    expect(pOf(result)).toBeCloseTo(0.016176627434908088, 12);
  });

  it('agree with scipy on ties and on many pairs', () => {
    expect(pOf(pairedTTest([0.004, 0.002, 0.007, 0.004, 0.002]))).toBeCloseTo(0.01430501787995297, 10);
    // All 2^10 signs counted out.
    expect(pOf(wilcoxonTest([3, 3, -3, 1, 2, 2, 5, -1, 4, 4]))).toBeCloseTo(0.04296875, 12);
    const many = Array.from({ length: 300 }, (_, index) => ((index + 1) % 3 === 0 ? -1 : 1) * (index + 1));
    expect(pOf(wilcoxonTest(many))).toBeCloseTo(7.920139610312028e-7, 15);
  });

  it('say where there is no answer', () => {
    for (const test of [pairedTTest, wilcoxonTest]) {
      expect(test([])).toMatchObject({ kind: 'untestable', n: 0, meanDifference: null, reason: 'too-few-pairs' });
      expect(test([0.5])).toMatchObject({ kind: 'untestable', n: 1, reason: 'too-few-pairs' });
      expect(test([0, 0, 0])).toMatchObject({ kind: 'untestable', n: 3, reason: 'no-variation' });
    }
    expect(pairedTTest([0.1, 0.1, 0.1])).toMatchObject({ reason: 'no-variation', meanDifference: 0.1 });
    expect(pOf(wilcoxonTest([0.1, 0.1, 0.1]))).toBeCloseTo(0.25, 12);
  });

  it('take the rounding of equal differences for no variation', () => {
    // Both ten of 277 sentences more; as fractions their differences are not quite the same.
    const a = [200, 203].map((right, seed) => ({ seed, score: right / 277 }));
    const b = [190, 193].map((right, seed) => ({ seed, score: right / 277 }));
    const differences = differencesBySeed(a, b);
    expect(differences[0]).not.toBe(differences[1]);
    expect(pairedTTest(differences)).toMatchObject({ kind: 'untestable', reason: 'no-variation' });
    // Three share the rank 2, the fourth has 4; the three positive ones amount to 8.
    const ties = [0.1 + 0.2 - 0.2, 0.3 - 0.2, -0.1, 0.4];
    expect(wilcoxonTest(ties)).toMatchObject({ kind: 'tested', n: 4, statistic: 8 });
    expect(differencesBySeed([{ seed: 0, score: 0.1 + 0.2 }], [{ seed: 0, score: 0.3 }])).toEqual([0]);
  });

  it('do not know which side is which, nor the unit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 30 }),
        fc.integer({ min: 1, max: 100 }),
        (differences, scale) => {
          for (const test of [pairedTTest, wilcoxonTest]) {
            const result = test(differences);
            const mirrored = test(differences.map((difference) => -difference * scale));
            expect(mirrored.kind).toBe(result.kind);
            if (result.kind === 'untestable') continue;
            expect(pOf(mirrored)).toBeCloseTo(result.pValue, 12);
            expect(result.pValue).toBeGreaterThan(0);
            expect(result.pValue).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });

  it('find less and less chance in a growing difference', () => {
    const noise = [0.3, -0.2, 0.1, 0.4, -0.35, 0.05];
    const ps = [0, 1, 2, 4, 8].map((shift) => pOf(pairedTTest(noise.map((value) => value + shift))));
    expect(ps).toEqual([...ps].sort((a, b) => b - a));
  });
});

describe("Holm's correction", () => {
  it('is that of R', () => {
    const adjusted = holm([0.01, 0.04, 0.03, 0.005]);
    [0.03, 0.06, 0.06, 0.02].forEach((expected, index) => expect(adjusted[index]).toBeCloseTo(expected, 14));
    expect(holm([])).toEqual([]);
  });

  it('keeps the order, is never smaller than the p-value nor greater than that of Bonferroni', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }), (ps) => {
        const adjusted = holm(ps);
        for (const [i, p] of ps.entries()) {
          expect(adjusted[i]).toBeGreaterThanOrEqual(p);
          expect(adjusted[i]).toBeLessThanOrEqual(Math.min(1, p * ps.length));
          for (const [j, other] of ps.entries())
            if (p < other) expect(adjusted[i]).toBeLessThanOrEqual(adjusted[j] ?? NaN);
        }
      }),
    );
  });
});

describe('all pairs of several methods', () => {
  it('are corrected together, those without an answer apart', () => {
    const sample = (label: string, scores: readonly number[]) => ({
      label,
      scores: scores.map((score, seed) => ({ seed, score })),
    });
    const pairs = compareAllPairs([sample('a', [1, 2, 3.5]), sample('b', [0, 0.5, 1]), sample('c', [5])]);
    expect(pairs.map(({ a, b, result }) => [a, b, result.kind])).toEqual([
      ['a', 'b', 'tested'],
      ['a', 'c', 'untestable'],
      ['b', 'c', 'untestable'],
    ]);
    expect(pairs[0]?.adjustedP).toBe(pOf(pairs[0]?.result as TestResult));
    expect(pairs[1]?.adjustedP).toBeNull();
  });
});
