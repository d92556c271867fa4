import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { studentTail, studentUpperQuantile } from '../../../src/analysis/student.ts';

function expectClose(actual: number, expected: number, relative: number): void {
  expect(Math.abs(actual / expected - 1)).toBeLessThan(relative);
}

const probability = fc.double({ min: 1e-12, max: 0.4999, noNaN: true });
const degrees = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0.5, max: 1e5, noNaN: true }));

/** The upper 2.5 %, 0.5 % and 0.05 % points: the tables' values (NIST handbook 1.3.6.7.2), to 16 digits by arithmetic with 40. */
const table: readonly (readonly [df: number, at025: number, at005: number, at0005: number])[] = [
  [1, 12.7062047361747, 63.65674116287158, 636.6192487687196],
  [2, 4.302652729749464, 9.924843200918293, 31.59905457644362],
  [3, 3.18244630528371, 5.840909309733357, 12.92397863668748],
  [4, 2.776445105197794, 4.604094871349993, 8.610301581379275],
  [5, 2.570581835636316, 4.032142983555228, 6.86882662588111],
  [9, 2.262157162798206, 3.249835541592126, 4.780912585931139],
  [10, 2.228138851986275, 3.169272672616951, 4.586893858702636],
  [19, 2.09302405440831, 2.860934606464979, 3.883405852592083],
  [29, 2.045229642132704, 2.756385903670605, 3.659405019466333],
  [30, 2.042272456301238, 2.749995653567225, 3.645958635042022],
  [60, 2.000297822014261, 2.660283028855037, 3.460200469196356],
  [120, 1.979930405082441, 2.617421145106866, 3.3734537685625],
  [1000, 1.962339080826408, 2.580754698065951, 3.300282648423913],
];

describe("Student's t", () => {
  it.each(table)('has the published quantiles at %d degrees of freedom', (df, at025, at005, at0005) => {
    expectClose(studentUpperQuantile(0.025, df), at025, 1e-13);
    expectClose(studentUpperQuantile(0.005, df), at005, 1e-13);
    expectClose(studentUpperQuantile(0.0005, df), at0005, 1e-13);
  });

  it('takes any degrees of freedom', () => {
    expectClose(studentUpperQuantile(0.025, 2.5), 3.574654842003683, 1e-13);
    expectClose(studentUpperQuantile(0.025, 0.5), 164.5576734804885, 1e-13);
    expectClose(studentUpperQuantile(0.025, Infinity), 1.959963984540054, 1e-13);
    for (const df of [9.9e5, 1e6, 1e8])
      expectClose(studentUpperQuantile(0.025, df), 1.959963984540054 + 2.372 / df, 1e-9);
  });

  it('has the closed forms of one and of two degrees of freedom', () => {
    fc.assert(
      fc.property(probability, (p) => {
        expectClose(studentUpperQuantile(p, 1), 1 / Math.tan(Math.PI * p), 1e-12);
        const u = 1 - 2 * p;
        expectClose(studentUpperQuantile(p, 2), (u * Math.SQRT2) / Math.sqrt(4 * p * (1 - p)), 1e-11);
      }),
    );
  });

  it('finds the probability again that it was asked for', () => {
    fc.assert(
      fc.property(probability, degrees, (p, df) => {
        expectClose(studentTail(studentUpperQuantile(p, df), df), p, 1e-10);
      }),
    );
  });

  it('is symmetric, and has heavier tails the fewer the degrees of freedom', () => {
    fc.assert(
      fc.property(probability, degrees, (p, df) => {
        expectClose(-studentUpperQuantile(1 - p, df), studentUpperQuantile(1 - (1 - p), df), 1e-12);
        expect(studentUpperQuantile(p, df)).toBeGreaterThan(studentUpperQuantile(p, df * 1.5));
        const t = studentUpperQuantile(p, df);
        expect(studentTail(t, df) + studentTail(-t, df)).toBeCloseTo(1, 15);
      }),
    );
    expect(studentUpperQuantile(0.5, 3)).toBe(0);
    expect(studentTail(0, 3)).toBe(0.5);
    expect(studentTail(Infinity, 3)).toBe(0);
    expect(studentTail(1e200, 1)).toBeCloseTo(0, 100);
  });

  it('refuses what has no answer', () => {
    expect(() => studentUpperQuantile(0, 3)).toThrow(RangeError);
    expect(() => studentUpperQuantile(1, 3)).toThrow(RangeError);
    expect(() => studentUpperQuantile(0.1, 0)).toThrow(RangeError);
    expect(() => studentTail(1, NaN)).toThrow(RangeError);
  });
});
