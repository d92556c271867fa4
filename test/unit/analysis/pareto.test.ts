import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dominates, paretoFront } from '../../../src/analysis/pareto.ts';

const pointArbitrary = fc.record({ cost: fc.nat(12), gain: fc.nat(12) });

describe('the Pareto front', () => {
  it('is what no point dominates, ties kept', () => {
    fc.assert(
      fc.property(fc.array(pointArbitrary, { maxLength: 40 }), (points) => {
        const expected = points.filter((point) => !points.some((other) => dominates(other, point)));
        const front = paretoFront(points);
        expect(new Set(front)).toEqual(new Set(expected));
        expect(front).toHaveLength(expected.length);
        expect(front.map(({ cost }) => cost)).toEqual(front.map(({ cost }) => cost).sort((a, b) => a - b));
      }),
    );
  });

  it('does not change when it is taken again, or dominated points are added', () => {
    fc.assert(
      fc.property(fc.array(pointArbitrary, { minLength: 1, maxLength: 20 }), (points) => {
        const front = paretoFront(points);
        expect(paretoFront(front)).toEqual(front);
        const worse = front.map(({ cost, gain }) => ({ cost: cost + 1, gain }));
        expect(paretoFront([...worse, ...front])).toEqual(front);
      }),
    );
  });

  it('keeps equal points and leaves out what is no number', () => {
    const [a, b, c] = [
      { cost: 1, gain: 2 },
      { cost: 1, gain: 2 },
      { cost: 1, gain: 1 },
    ];
    expect(paretoFront([a, b, c, { cost: NaN, gain: 9 }, { cost: 0, gain: NaN }])).toEqual([a, b]);
    expect(paretoFront([])).toEqual([]);
  });
});
