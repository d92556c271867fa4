import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differencesBySeed, holm, pairedTTest, type TestResult } from '../../../src/analysis/significance.ts';

function pOf(result: TestResult): number {
  return result.kind === 'tested' ? result.pValue : NaN;
}

// Depression scores of nine patients before and after (Hollander and Wolfe, table 3.1).
const before = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3];
const after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
const hollander = before.map((value, index) => value - (after[index] ?? NaN));

describe('differences by seed and their t-test', () => {
  it('pair by the common seeds', () => {
    const a = [3, 1, 2].map((seed) => ({ seed, score: seed * 10 }));
    const b = [2, 3, 4].map((seed) => ({ seed, score: seed }));
    expect(differencesBySeed(a, b)).toEqual([18, 27]);
  });

  it('agree with published results', () => {
    const result = pairedTTest(hollander);
    expect(result).toMatchObject({ kind: 'tested', n: 9 });
    expect(pOf(result)).toBeCloseTo(0.016176627434908088, 12);
  });

  it('agree with scipy', () => {
    expect(pOf(pairedTTest([0.004, 0.002, 0.007, 0.004, 0.002]))).toBeCloseTo(0.01430501787995297, 10);
  });

  it('say where there is no answer', () => {
    expect(pairedTTest([])).toEqual({ kind: 'untestable', n: 0, meanDifference: null, reason: 'too-few-pairs' });
    expect(pairedTTest([0.5])).toEqual({ kind: 'untestable', n: 1, meanDifference: 0.5, reason: 'too-few-pairs' });
    expect(pairedTTest([0, 0, 0])).toEqual({ kind: 'untestable', n: 3, meanDifference: 0, reason: 'no-variation' });
    expect(pairedTTest([0.1, 0.1, 0.1])).toMatchObject({ reason: 'no-variation', meanDifference: 0.1 });
  });

  it('take the rounding of equal differences for no variation', () => {
    // Both ten of 277 sentences more; as fractions their differences are not quite the same.
    const a = [200, 203].map((right, seed) => ({ seed, score: right / 277 }));
    const b = [190, 193].map((right, seed) => ({ seed, score: right / 277 }));
    const differences = differencesBySeed(a, b);
    expect(differences[0]).not.toBe(differences[1]);
    expect(pairedTTest(differences)).toMatchObject({ kind: 'untestable', reason: 'no-variation' });
    expect(differencesBySeed([{ seed: 0, score: 0.1 + 0.2 }], [{ seed: 0, score: 0.3 }])).toEqual([0]);
  });

  it('do not know which side is which, nor the unit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 30 }),
        fc.integer({ min: 1, max: 100 }),
        (differences, scale) => {
          const result = pairedTTest(differences);
          const mirrored = pairedTTest(differences.map((difference) => -difference * scale));
          expect(mirrored.kind).toBe(result.kind);
          if (result.kind === 'untestable') return;
          expect(pOf(mirrored)).toBeCloseTo(result.pValue, 12);
          expect(result.pValue).toBeGreaterThan(0);
          expect(result.pValue).toBeLessThanOrEqual(1);
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
