import fc from 'fast-check';
import { expect, it } from 'vitest';
import { smooth, unsmoothed } from '../../../src/base/smoothing.ts';

const values = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { maxLength: 60 });
const weight = fc.double({ min: 0, max: 0.999, noNaN: true });

it('shows the first value as it is, and constants as constants, whatever the weight', () => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, min: -1e6, max: 1e6 }),
      fc.integer({ min: 1, max: 40 }),
      weight,
      (value, n, w) => {
        for (const each of smooth(new Array<number>(n).fill(value), w).values) expect(each).toBeCloseTo(value, 6);
      },
    ),
  );
});

it('stays between the least and the greatest value so far', () => {
  fc.assert(
    fc.property(values, weight, (list, w) => {
      for (const [index, each] of smooth(list, w).values.entries()) {
        const seen = list.slice(0, index + 1);
        expect(each).toBeGreaterThanOrEqual(Math.min(...seen) - 1e-6);
        expect(each).toBeLessThanOrEqual(Math.max(...seen) + 1e-6);
      }
    }),
  );
});

it('goes on from its state as if it had seen all at once', () => {
  fc.assert(
    fc.property(values, values, weight, (first, second, w) => {
      const begun = smooth(first, w);
      const rest = smooth(second, w, begun.state);
      expect([...begun.values, ...rest.values]).toEqual([...smooth([...first, ...second], w).values]);
    }),
  );
});

it('averages by the definition: a half of the past, a half of the new value, divided by the weights', () => {
  expect([...smooth([4, 8, 0], 0.5).values]).toEqual([4, (0.25 * 4 + 0.5 * 8) / 0.75, (0.125 * 4 + 0.25 * 8) / 0.875]);
});

it('leaves gaps where there is no number', () => {
  const { values: shown, state } = smooth([NaN, 2, NaN, 2], 0.9);
  expect([...shown]).toEqual([NaN, 2, NaN, 2]);
  expect(smooth([], 0.9, state).state).toEqual(state);
});

it('does nothing with weight 0, and refuses weights that would forget the new value', () => {
  expect([...smooth([3, 1, 2], 0).values]).toEqual([3, 1, 2]);
  expect(() => smooth([1], 1, unsmoothed)).toThrow(RangeError);
  expect(() => smooth([1], -0.1)).toThrow(RangeError);
});
