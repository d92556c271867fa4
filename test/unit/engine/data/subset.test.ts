import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../../src/base/errors.ts';
import { stratifiedSubset } from '../../../../src/engine/data/subset.ts';

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

describe('a stratified subset of classes', () => {
  const labels = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 200 });
  const cases = labels.chain((all) =>
    fc.record({ all: fc.constant(all), n: fc.integer({ min: 1, max: all.length }), seed: seeds }),
  );

  it('holds n different examples in ascending order, each class within one of its share', () => {
    fc.assert(
      fc.property(cases, ({ all, n, seed }) => {
        const chosen = [...stratifiedSubset(all, 'classification', n, seed)];
        expect(chosen).toHaveLength(n);
        expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
        const classes = [...new Set(all)];
        for (const label of classes) {
          const share = (all.filter((other) => other === label).length * n) / all.length;
          const got = chosen.filter((index) => all[index] === label).length;
          if (n >= classes.length) expect(got).toBeGreaterThanOrEqual(1);
          // Classes too rare for a place of their own take it from the largest.
          expect(Math.abs(got - share)).toBeLessThan(classes.length);
        }
      }),
    );
  });

  it('is told by the seed alone, and differs between seeds', () => {
    const all = Array.from({ length: 1000 }, (_, i) => i % 2);
    const first = stratifiedSubset(all, 'classification', 100, 1);
    expect(stratifiedSubset(all, 'classification', 100, 1)).toEqual(first);
    expect(stratifiedSubset(all, 'classification', 100, 2)).not.toEqual(first);
  });

  it('keeps the shares of the whole to the example where they come out even', () => {
    const all = [
      ...new Array<number>(600).fill(0),
      ...new Array<number>(300).fill(1),
      ...new Array<number>(100).fill(2),
    ];
    const chosen = stratifiedSubset(all, 'classification', 50, 3);
    expect([0, 1, 2].map((label) => chosen.filter((index) => all[index] === label).length)).toEqual([30, 15, 5]);
  });

  it('gives every class a place, however rare', () => {
    const all = [...new Array<number>(999).fill(0), 1];
    expect([...stratifiedSubset(all, 'classification', 2, 0)]).toContain(999);
  });

  it('draws every example about equally often', () => {
    const all = Array.from({ length: 60 }, (_, i) => i % 3);
    const drawn = new Array<number>(60).fill(0);
    for (let seed = 0; seed < 600; seed++)
      for (const index of stratifiedSubset(all, 'classification', 15, seed)) drawn[index] = (drawn[index] ?? 0) + 1;
    // Binomial(600, 1/4): mean 150, standard deviation 10.6.
    for (const times of drawn) expect(Math.abs(times - 150)).toBeLessThan(55);
  });
});

describe('a stratified subset of scores', () => {
  it('takes its share of every tenth of the scores', () => {
    const labels = Array.from({ length: 1000 }, (_, i) => ((i * 37) % 1000) / 200);
    const chosen = stratifiedSubset(labels, 'regression', 100, 5);
    for (let tenth = 0; tenth < 10; tenth++) {
      const inside = chosen.filter((index) => Math.floor((labels[index] ?? 0) * 2) === tenth);
      expect(inside).toHaveLength(10);
    }
  });

  it('is spread over the scale even when it is small', () => {
    const labels = Array.from({ length: 90 }, (_, i) => i);
    const thirds = [...stratifiedSubset(labels, 'regression', 3, 1)].map((index) => Math.floor(index / 30));
    expect(thirds).toEqual([0, 1, 2]);
  });
});

describe('a subset that cannot be', () => {
  it.each([0, -1, 2.5, NaN])('of %s examples', (n) => {
    expect(() => stratifiedSubset([0, 1, 1], 'classification', n, 0)).toThrow(UserError);
  });

  it('is refused with the number there is', () => {
    expect(() => stratifiedSubset([0, 1, 1], 'classification', 4, 0)).toThrow(
      /training\.examples is 4, but the training split holds 3 examples/,
    );
    expect([...stratifiedSubset([0, 1, 1], 'classification', 3, 0)]).toEqual([0, 1, 2]);
  });
});
