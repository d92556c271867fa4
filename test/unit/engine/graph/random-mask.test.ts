import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { multiplyDims } from '../../../../src/engine/graph/dims.ts';
import { cast, input, reshape } from '../../../../src/engine/graph/operations.ts';
import { createDropoutSites, keepMask } from '../../../../src/engine/graph/random-mask.ts';
import { interpret, type Feed } from '../../../support/interpreter.ts';
import { batch, drawFeed, sequence } from './support.ts';

const x = input('x', 'float32', [batch, sequence, 4]);
const words = { below: 2 ** 31 };

function feedsOf(rows: number, columns: number): Record<string, Feed> {
  return { rows: drawFeed([rows], 1, words, 'rows'), columns: drawFeed([2, columns], 1, words, 'columns') };
}

describe('dropout sites', () => {
  it('divide what they keep by the share that they keep, and let the gradient through there alone', () => {
    const dropout = createDropoutSites();
    const y = dropout.apply(x, 0.25);
    const [gradient] = differentiate(y, [x]);
    const [site] = dropout.sites;
    if (site === undefined || gradient === undefined) throw new Error('one site and its gradient');
    const given = feedsOf(6, 4);
    const feeds = {
      x: drawFeed([2, 3, 4], 2, 'awayFromZero'),
      [site.rowInput]: given['rows'] ?? drawFeed([], 0),
      [site.columnInput]: given['columns'] ?? drawFeed([], 0),
    };
    const results = interpret({ y, gradient }, feeds);
    const kept = results.gradient.data.filter((slope) => slope !== 0);
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThan(24);
    results.gradient.data.forEach((slope, i) => {
      expect([0, 1 / 0.75]).toContain(slope);
      expect(results.y.data[i]).toBeCloseTo((feeds.x.data[i] ?? NaN) * slope, 12);
    });
  });

  it('are told apart, with the sizes of their words', () => {
    const dropout = createDropoutSites();
    dropout.apply(x, 0.1);
    dropout.apply(reshape(x, [batch, multiplyDims(sequence, 4)]), 0.1);
    const names = dropout.sites.flatMap(({ rowInput, columnInput }) => [rowInput, columnInput]);
    expect(new Set(names).size).toBe(4);
    expect(dropout.sites.map(({ rows, columns }) => [rows, columns])).toEqual([
      [multiplyDims(batch, sequence), 4],
      [batch, multiplyDims(sequence, 4)],
    ]);
  });

  it('take rates in [0, 1); at 0 they are no site', () => {
    const dropout = createDropoutSites();
    expect(dropout.apply(x, 0)).toBe(x);
    for (const rate of [1, -0.1, 2, NaN]) expect(() => dropout.apply(x, rate)).toThrow(RangeError);
    expect(dropout.sites).toEqual([]);
  });
});

describe('a mask', () => {
  it('keeps everything at the smallest of rates, and nothing at the greatest', () => {
    const shape = [3, 50];
    const mask = (rate: number): number[] => {
      const kept = keepMask(shape, rate, input('rows', 'int32', [3]), input('columns', 'int32', [2, 50]));
      return [...interpret({ kept: cast(kept, 'float32') }, feedsOf(3, 50)).kept.data];
    };
    expect(mask(1e-12)).toEqual(mask(1e-12).map(() => 1));
    expect(mask(1 - 1e-12)).toEqual(mask(0.5).map(() => 0));
  });
});
