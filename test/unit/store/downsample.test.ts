import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { thin, type Thinning } from '../../../src/store/downsample.ts';

const curveArbitrary = fc.array(
  fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { nil: NaN, freq: 20 }),
  {
    maxLength: 400,
  },
);
const thinnings: readonly Thinning[] = ['minmax', 'lttb'];

describe.each(thinnings)('thinning by %s', (how) => {
  it('keeps at most the wanted number of points, in order, both ends among them', () => {
    fc.assert(
      fc.property(curveArbitrary, fc.integer({ min: -3, max: 500 }), (values, wanted) => {
        const kept = thin(
          values.map((_, index) => index),
          values,
          wanted,
          how,
        );
        expect(kept.length).toBeLessThanOrEqual(Math.max(4, wanted));
        expect(new Set(kept).size).toBe(kept.length);
        expect(kept).toEqual([...kept].sort((a, b) => a - b));
        if (values.length > 0) expect([kept[0], kept.at(-1)]).toEqual([0, values.length - 1]);
        if (values.length <= wanted) expect(kept).toHaveLength(values.length);
      }),
    );
  });

  it('shows a gap', () => {
    const values = Array.from({ length: 1000 }, (_, index) => (index === 617 ? NaN : Math.sin(index / 50)));
    expect(
      thin(
        values.map((_, index) => index),
        values,
        40,
        how,
      ),
    ).toContain(617);
  });
});

describe('thinning', () => {
  it('by minmax loses neither the least nor the greatest value', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 400 }),
        fc.integer({ min: 4, max: 60 }),
        (values, wanted) => {
          const kept = thin(
            values.map((_, index) => index),
            values,
            wanted,
            'minmax',
          ).map((index) => values[index] as number);
          expect(Math.min(...kept)).toBe(Math.min(...values));
          expect(Math.max(...kept)).toBe(Math.max(...values));
        },
      ),
    );
  });

  it('by lttb keeps the corners', () => {
    // A saw tooth of 10 corners in 1,000 points.
    const values = Array.from({ length: 1000 }, (_, index) => Math.abs((index % 200) - 100));
    const kept = thin(
      values.map((_, index) => index),
      values,
      100,
      'lttb',
    );
    const corners = [100, 200, 300, 400, 500, 600, 700, 800, 900];
    expect(corners.filter((corner) => !kept.some((index) => Math.abs(index - corner) <= 1))).toEqual([]);
  });
});
