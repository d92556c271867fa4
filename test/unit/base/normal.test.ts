import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { millsRatio, normalCdf, normalDensity, normalTail, normalUpperQuantile } from '../../../src/base/normal.ts';

describe('the normal distribution', () => {
  // mpmath 1.4, 40 digits: log(ncdf(x)).
  test.each([
    [-1000, -500007.82669481216],
    [-40, -804.6084420137538],
    [-10, -53.23128515051247],
    [-8, -35.01343715991455],
    [-5, -15.064998393988725],
    [-1, -1.8410216450092636],
    [-0.25, -0.9130617648111351],
    [0, -0.6931471805599453],
    [2, -0.02301290932896349],
    [8, -6.220960574271786e-16],
  ])("log Φ(%f), far out by Mills' ratio", (x, expected) => {
    const log =
      x <= 0
        ? -0.5 * x * x - 0.5 * Math.log(2 * Math.PI) + Math.log(millsRatio(-x))
        : Math.log1p(-normalDensity(x) * millsRatio(x));
    expect(Math.abs(log / expected - 1)).toBeLessThan(x > 0 ? 1e-14 : 4e-15);
  });

  test("Mills' ratio solves its differential equation m′ = x·m − 1 across both of its expansions", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 30, noNaN: true }), (x) => {
        const h = 1e-4 * Math.max(1, x);
        const slope = (millsRatio(x + h) - millsRatio(x - h)) / (2 * h);
        expect(slope).toBeCloseTo(x * millsRatio(x) - 1, 6);
      }),
    );
  });

  test('Φ(x) and Φ(−x) add up to 1', () => {
    fc.assert(
      fc.property(fc.double({ min: -9, max: 9, noNaN: true }), (x) => {
        expect(Math.abs(normalCdf(x) + normalCdf(-x) - 1)).toBeLessThan(1e-15);
      }),
    );
  });

  test.each([
    [0.5, 0.3085375387259869],
    [1.96, 0.02499789514822043],
    [2.9, 0.0018658133003840378],
    [3, 0.001349898031630095],
    [6, 9.86587645037698e-10],
    [10, 7.61985302416053e-24],
  ])('the tail beyond %d, and what that tail belongs to', (z, tail) => {
    expect(Math.abs(normalTail(z) / tail - 1)).toBeLessThan(1e-14);
    expect(Math.abs(normalUpperQuantile(tail) / z - 1)).toBeLessThan(1e-14);
    expect(Math.abs(normalTail(-z) / (1 - tail) - 1)).toBeLessThan(1e-15);
  });

  test('beyond infinity nothing lies', () => {
    expect(normalTail(Infinity)).toBe(0);
    expect(normalTail(-Infinity)).toBe(1);
  });

  test.each([0, 1, NaN])('there is no quantile of %d', (tail) => {
    expect(() => normalUpperQuantile(tail)).toThrow(RangeError);
  });
});
