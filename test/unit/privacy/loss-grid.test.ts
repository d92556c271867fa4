import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gaussianDelta, singleStepDelta } from '../../../src/privacy/gaussian.ts';
import {
  connectTheDots,
  divideLosses,
  mergeLosses,
  mirrorCells,
  rangeOf,
  type LossGrid,
} from '../../../src/privacy/loss-grid.ts';
import { privacyLoss, scaledPositionOfLoss } from '../../../src/privacy/mechanism.ts';

/** δ(ε) of a law on a grid, by its definition. */
function deltaOf({ step, offset, first, masses, infinite }: LossGrid, epsilon: number): number {
  let delta = infinite;
  masses.forEach((mass, i) => {
    const loss = offset + (first + i) * step;
    if (loss > epsilon) delta += mass * -Math.expm1(epsilon - loss);
  });
  return delta;
}

/** δ(ε) of one step when a record is removed, and when one is added. */
function removedDelta(q: number, sigma: number, epsilon: number): number {
  return q * gaussianDelta(1 / sigma, Math.log1p(Math.expm1(epsilon) / q));
}
function addedDelta(q: number, sigma: number, epsilon: number): number {
  const share = q - Math.expm1(epsilon) * (1 - q);
  return share > 0 ? share * gaussianDelta(1 / sigma, epsilon + Math.log(q / share)) : 0;
}

const settings = fc.record({
  q: fc.double({ min: Math.log(1e-5), max: Math.log(0.95), noNaN: true }).map(Math.exp),
  sigma: fc.double({ min: Math.log(0.3), max: Math.log(10), noNaN: true }).map(Math.exp),
  // In units of the range of the loss.
  fineness: fc.integer({ min: 5, max: 2000 }),
});
const tail = 1e-12;

describe('one step on a grid, against its exact curve', () => {
  test('connect the dots is never below it, and on it at the grid points', () => {
    fc.assert(
      fc.property(settings, fc.integer({ min: 0, max: 40 }), ({ q, sigma, fineness }, point) => {
        const range = rangeOf(q, sigma, tail);
        const step = (privacyLoss(q, sigma, range.to) - privacyLoss(q, sigma, range.from)) / fineness;
        const laws = connectTheDots(q, sigma, divideLosses(q, sigma, step, range), range);
        for (const epsilon of [point * step, (point + 0.37) * step]) {
          const removed = removedDelta(q, sigma, epsilon);
          expect(deltaOf(laws.removed, epsilon)).toBeGreaterThanOrEqual(removed * (1 - 1e-11));
          const added = addedDelta(q, sigma, epsilon);
          expect(deltaOf(laws.added, epsilon)).toBeGreaterThanOrEqual(added * (1 - 1e-11));
        }
        const onGrid = removedDelta(q, sigma, point * step);
        expect(Math.abs(deltaOf(laws.removed, point * step) - onGrid)).toBeLessThanOrEqual(onGrid * 1e-11 + 4 * tail);
      }),
    );
  });

  test('merged losses are never above it, and come close on a fine grid', () => {
    fc.assert(
      fc.property(settings, fc.double({ min: 0, max: 1, noNaN: true }), ({ q, sigma, fineness }, share) => {
        const range = rangeOf(q, sigma, tail);
        const top = privacyLoss(q, sigma, range.to);
        const step = (top - privacyLoss(q, sigma, range.from)) / fineness;
        const cells = divideLosses(q, sigma, step, range);
        for (const epsilon of [0, share * step, share * top]) {
          expect(deltaOf(mergeLosses(cells), epsilon)).toBeLessThanOrEqual(
            removedDelta(q, sigma, epsilon) * (1 + 1e-11),
          );
          expect(deltaOf(mergeLosses(mirrorCells(cells)), epsilon)).toBeLessThanOrEqual(
            addedDelta(q, sigma, epsilon) * (1 + 1e-11) + 1e-300,
          );
        }
      }),
    );
    const [q, sigma] = [0.05, 0.9];
    const range = rangeOf(q, sigma, tail);
    const cells = divideLosses(q, sigma, 1e-3, range);
    for (const epsilon of [0, 0.1, 1, 3]) {
      const exact = singleStepDelta(q, sigma, epsilon);
      expect(deltaOf(mergeLosses(cells), epsilon) / exact).toBeGreaterThan(0.995);
    }
  });

  test('both keep the probability of the range', () => {
    fc.assert(
      fc.property(settings, ({ q, sigma, fineness }) => {
        const range = rangeOf(q, sigma, tail);
        const step = (privacyLoss(q, sigma, range.to) - privacyLoss(q, sigma, range.from)) / fineness;
        const cells = divideLosses(q, sigma, step, range);
        const { removed, added } = connectTheDots(q, sigma, cells, range);
        for (const law of [removed, added]) {
          const total = law.masses.reduce((sum, mass) => sum + mass, law.infinite);
          expect(Math.abs(total - 1)).toBeLessThan(1e-11);
        }
        const merged = mergeLosses(cells).masses.reduce((sum, mass) => sum + mass, 0);
        expect(merged).toBeLessThanOrEqual(1 + 1e-12);
        expect(merged).toBeGreaterThan(1 - 1e-11);
      }),
    );
  });
});

test('the loss and its inverse', () => {
  fc.assert(
    fc.property(settings, fc.double({ min: -5, max: 8, noNaN: true }), ({ q, sigma }, z) => {
      const x = 0.5 + z * sigma;
      const loss = privacyLoss(q, sigma, x);
      expect(loss).toBeGreaterThan(Math.log1p(-q) - 1e-15);
      // Below 0 the loss crowds towards log(1 − q) and does not tell x.
      if (x < 0.5) return;
      expect(sigma * sigma * scaledPositionOfLoss(q, loss) + 0.5).toBeCloseTo(x, 8);
    }),
  );
});
