import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { horizonOf, visible } from '../../../src/store/visibility.ts';

const rowsArbitrary = fc
  .array(fc.record({ segment: fc.nat(4), step: fc.nat(12), split: fc.constantFrom('dev', 'test') }), { maxLength: 40 })
  .map((rows) => rows.map((row, seq) => ({ ...row, seq })).sort((a, b) => a.segment - b.segment || a.seq - b.seq));
const startsArbitrary = fc.uniqueArray(fc.record({ segment: fc.nat(5), fromStep: fc.option(fc.nat(12)) }), {
  selector: ({ segment }) => segment,
});

describe('a later segment replaces the steps that it repeats', () => {
  it('hides from fromStep on what earlier segments say', () => {
    const horizon = horizonOf([
      { segment: 0, fromStep: 1 },
      { segment: 1, fromStep: 5 },
      { segment: 2, fromStep: 3 },
    ]);
    expect([0, 1, 2, 3].map(horizon)).toEqual([3, 3, Infinity, Infinity]);
  });

  it('is the definition, row by row', () => {
    fc.assert(
      fc.property(rowsArbitrary, startsArbitrary, (rows, starts) => {
        const isHidden = (row: (typeof rows)[number]): boolean =>
          starts.some(({ segment, fromStep }) => segment > row.segment && fromStep !== null && row.step >= fromStep) ||
          rows.some(
            (other) => !hiddenByStart(other) && other.step === row.step && rows.indexOf(other) > rows.indexOf(row),
          );
        const hiddenByStart = (row: (typeof rows)[number]): boolean =>
          starts.some(({ segment, fromStep }) => segment > row.segment && fromStep !== null && row.step >= fromStep);
        const expected = rows.filter((row) => !isHidden(row)).sort((a, b) => a.step - b.step);
        expect(visible(rows, horizonOf(starts))).toEqual(expected);
      }),
    );
  });

  it('shows each step and split once, in order', () => {
    fc.assert(
      fc.property(rowsArbitrary, startsArbitrary, (rows, starts) => {
        const shown = visible(rows, horizonOf(starts), ({ split }) => split);
        expect(new Set(shown.map(({ step, split }) => `${step} ${split}`)).size).toBe(shown.length);
        expect(shown.map(({ step }) => step)).toEqual(shown.map(({ step }) => step).sort((a, b) => a - b));
      }),
    );
  });
});
