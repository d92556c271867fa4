import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { intervalOf, meanOf, medianOf, standardDeviationOf, summarise } from '../../../src/analysis/sample.ts';

const values = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 2, maxLength: 12 });

describe('a sample', () => {
  it('is summarised', () => {
    const summary = summarise([0.91, 0.93, 0.92, 0.96, 0.93]);
    expect(summary).toMatchObject({ n: 5, median: 0.93 });
    expect(summary?.mean).toBeCloseTo(0.93, 14);
    expect(summary?.standardDeviation).toBeCloseTo(0.018708286933869708, 14);
    // 2.776445105197794 standard errors.
    expect(summary?.interval?.low).toBeCloseTo(0.93 - (2.776445105197794 * 0.018708286933869708) / Math.sqrt(5), 14);
    expect(summary?.interval).toMatchObject({ level: 0.95, method: 'student' });
  });

  it('of one value has no interval and no spread, never a zero', () => {
    expect(summarise([0.9])).toEqual({
      n: 1,
      mean: 0.9,
      median: 0.9,
      standardDeviation: null,
      interval: null,
      values: [0.9],
    });
    expect(summarise([0.9], { method: 'bootstrap' })?.interval).toBeNull();
    expect(summarise([])).toBeNull();
  });

  it('of equal values has exactly their mean and no width', () => {
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1, noNaN: true }), fc.integer({ min: 2, max: 9 }), (value, n) => {
        const equal = new Array<number>(n).fill(value);
        expect(meanOf(equal)).toBe(value);
        expect(standardDeviationOf(equal)).toBe(0);
        expect(intervalOf(equal)).toMatchObject({ low: value, high: value });
      }),
    );
  });

  it('does not depend on the order, and moves and stretches with its values', () => {
    fc.assert(
      fc.property(
        values,
        fc.double({ min: -5, max: 5, noNaN: true }),
        fc.double({ min: 0.1, max: 9, noNaN: true }),
        (sample, shift, scale) => {
          const [mean, deviation, interval] = [meanOf(sample), standardDeviationOf(sample) ?? NaN, intervalOf(sample)];
          const reversed = [...sample].reverse();
          expect(meanOf(reversed)).toBeCloseTo(mean, 12);
          expect(medianOf(reversed)).toBe(medianOf(sample));
          const moved = sample.map((value) => value * scale + shift);
          expect(meanOf(moved)).toBeCloseTo(mean * scale + shift, 10);
          expect(standardDeviationOf(moved)).toBeCloseTo(deviation * scale, 10);
          expect(intervalOf(moved)?.high).toBeCloseTo((interval?.high ?? NaN) * scale + shift, 8);
        },
      ),
    );
  });

  it('has a wider interval at a higher level', () => {
    fc.assert(
      fc.property(values, (sample) => {
        for (const method of ['student', 'bootstrap'] as const) {
          const [narrow, wide] = [0.8, 0.99].map((level) => intervalOf(sample, { method, level, resamples: 200 }));
          expect((wide?.high ?? NaN) - (wide?.low ?? NaN)).toBeGreaterThanOrEqual(
            (narrow?.high ?? NaN) - (narrow?.low ?? NaN),
          );
        }
      }),
      { numRuns: 40 },
    );
    expect(() => intervalOf([1, 2], { level: 1 })).toThrow(RangeError);
  });

  it('has a bootstrap interval that its seed decides, inside of what was seen', () => {
    fc.assert(
      fc.property(values, fc.nat(), (sample, seed) => {
        const options = { method: 'bootstrap', seed, resamples: 300 } as const;
        const interval = intervalOf(sample, options);
        expect(intervalOf(sample, options)).toEqual(interval);
        expect(interval?.low).toBeGreaterThanOrEqual(Math.min(...sample) - 1e-12);
        expect(interval?.high).toBeLessThanOrEqual(Math.max(...sample) + 1e-12);
      }),
      { numRuns: 40 },
    );
  });

  it('has a bootstrap interval that approaches the normal one', () => {
    const many = Array.from({ length: 400 }, (_, index) => Math.sin(index * 7.3));
    const [student, bootstrap] = [intervalOf(many), intervalOf(many, { method: 'bootstrap' })];
    expect(bootstrap?.low).toBeCloseTo(student?.low ?? NaN, 2);
    expect(bootstrap?.high).toBeCloseTo(student?.high ?? NaN, 2);
  });
});
