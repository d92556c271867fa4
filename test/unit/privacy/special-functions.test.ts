import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  frequencyOrder,
  inverseTransform,
  mirrored,
  rootsOfUnity,
  transform,
  transformError,
} from '../../../src/privacy/fft.ts';
import { gaussLegendre } from '../../../src/privacy/quadrature.ts';
import { minimisePositive } from '../../../src/privacy/minimise.ts';

describe('the transform', () => {
  const signal = (n: number): fc.Arbitrary<Float64Array> =>
    fc
      .array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: n, maxLength: n })
      .map((values) => Float64Array.from(values));
  const pairs = fc.integer({ min: 1, max: 7 }).chain((log) => fc.tuple(signal(2 ** log), signal(2 ** log)));

  test('is the sum that defines it, within the error it promises', () => {
    fc.assert(
      fc.property(pairs, ([re, im]) => {
        const n = re.length;
        const order = frequencyOrder(n);
        const [a, b] = [re.slice(), im.slice()];
        transform(a, b, rootsOfUnity(n));
        let [error, norm] = [0, 0];
        for (let index = 0; index < n; index++) {
          const k = order[index] ?? 0;
          let [x, y] = [0, 0];
          for (let j = 0; j < n; j++) {
            const angle = (-2 * Math.PI * ((j * k) % n)) / n;
            x += (re[j] ?? 0) * Math.cos(angle) - (im[j] ?? 0) * Math.sin(angle);
            y += (re[j] ?? 0) * Math.sin(angle) + (im[j] ?? 0) * Math.cos(angle);
          }
          error += ((a[index] ?? 0) - x) ** 2 + ((b[index] ?? 0) - y) ** 2;
          norm += x * x + y * y;
        }
        // The sum is rounded too.
        expect(Math.sqrt(error)).toBeLessThanOrEqual((transformError(n) + n * 2 ** -52) * Math.sqrt(norm));
      }),
    );
  });

  test('is undone by its inverse', () => {
    const n = 2 ** 12;
    const re = Float64Array.from({ length: n }, (_, i) => Math.sin(i * i));
    const im = Float64Array.from({ length: n }, (_, i) => Math.cos(3 * i));
    const [a, b] = [re.slice(), im.slice()];
    const roots = rootsOfUnity(n);
    transform(a, b, roots);
    inverseTransform(a, b, roots);
    let [error, norm] = [0, 0];
    for (let i = 0; i < n; i++) {
      error += ((a[i] ?? 0) / n - (re[i] ?? 0)) ** 2 + ((b[i] ?? 0) / n - (im[i] ?? 0)) ** 2;
      norm += (re[i] ?? 0) ** 2 + (im[i] ?? 0) ** 2;
    }
    expect(Math.sqrt(error / norm)).toBeLessThan(2 * transformError(n));
    expect(Math.sqrt(error / norm)).toBeGreaterThan(0);
  });

  test('leaves frequency −k where mirrored() says', () => {
    for (const n of [2, 8, 64]) {
      const order = frequencyOrder(n);
      for (let index = 0; index < n; index++) expect(order[mirrored(index)]).toBe((n - (order[index] ?? 0)) % n);
    }
  });
});

test('Gauss-Legendre rules are exact up to degree 2m − 1, and not beyond', () => {
  for (const count of [3, 4, 5, 8]) {
    const { nodes, weights } = gaussLegendre(count);
    const integral = (degree: number): number =>
      nodes.reduce((sum, node, i) => sum + (weights[i] ?? 0) * node ** degree, 0);
    for (let degree = 0; degree < 2 * count; degree++) expect(integral(degree)).toBeCloseTo(1 / (degree + 1), 14);
    expect(Math.abs(integral(2 * count) - 1 / (2 * count + 1))).toBeGreaterThan(1e-12);
  }
});

test('the minimum of a quasi-convex function is found wherever it lies', () => {
  fc.assert(
    fc.property(
      fc.double({ min: -15, max: 15, noNaN: true }),
      fc.double({ min: -6, max: 6, noNaN: true }),
      (at, start) => {
        const found = minimisePositive((x) => Math.abs(Math.log(x) - at) ** 1.5, Math.exp(start));
        expect(Math.log(found.at)).toBeCloseTo(at, 5);
      },
    ),
  );
});
