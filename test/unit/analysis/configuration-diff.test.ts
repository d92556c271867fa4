import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffConfigurations } from '../../../src/analysis/configuration-diff.ts';
import { canonical, flatten, type Json, type JsonObject } from '../../../src/analysis/json.ts';

const jsonArbitrary = fc.jsonValue({ maxDepth: 3 }).map((value) => value as Json);
const configArbitrary = fc.dictionary(fc.string(), jsonArbitrary, { maxKeys: 5 }).map((config) => config as JsonObject);

describe('the difference of configurations', () => {
  const base: JsonObject = {
    method: { id: 'lora', rank: 8, targets: ['query', 'value'] },
    training: { seed: 0, adam: { beta1: 0.9 } },
  };

  it('shows nested settings, and only those that differ', () => {
    const other: JsonObject = {
      method: { id: 'lora', rank: 16, targets: ['query'] },
      training: { adam: { beta1: 0.9 }, seed: 0 },
      note: 'x',
    };
    expect(diffConfigurations([base, other])).toEqual([
      { path: 'method.rank', values: [8, 16], differs: true },
      { path: 'method.targets', values: [['query', 'value'], ['query']], differs: true },
      { path: 'note', values: [undefined, 'x'], differs: true },
    ]);
  });

  it('puts the differing settings on top of all', () => {
    const other: JsonObject = { ...base, training: { seed: 1, adam: { beta1: 0.9 } } };
    const rows = diffConfigurations([base, other], { all: true });
    expect(rows.map(({ path, differs }) => [path, differs])).toEqual([
      ['training.seed', true],
      ['method.id', false],
      ['method.rank', false],
      ['method.targets', false],
      ['training.adam.beta1', false],
    ]);
  });

  it('takes the short form of a setting for the long one', () => {
    expect(
      diffConfigurations([
        { method: 'lora', device: 'cpu' },
        { method: { id: 'lora' }, device: { provider: 'cpu' } },
      ]),
    ).toEqual([]);
  });

  it('tells a key with a dot from a nested one', () => {
    expect(flatten({ 'a.b': 1, a: { b: 2 } })).toEqual(
      new Map<string, Json>([
        ['["a.b"]', 1],
        ['a.b', 2],
      ]),
    );
  });

  it('is empty exactly when configurations are equal, whatever the order of their members', () => {
    fc.assert(
      fc.property(configArbitrary, configArbitrary, (a, b) => {
        const reversed = Object.fromEntries<Json>(Object.entries(a).reverse());
        expect(diffConfigurations([a, reversed, a])).toEqual([]);
        expect(diffConfigurations([a])).toEqual([]);
        expect(diffConfigurations([a, b]).length === 0).toBe(sameSettings(a, b));
        const there = diffConfigurations([a, b]);
        const back = diffConfigurations([b, a]);
        expect(new Set(there.map(({ path }) => path))).toEqual(new Set(back.map(({ path }) => path)));
      }),
    );
  });

  function sameSettings(a: JsonObject, b: JsonObject): boolean {
    const texts = [a, b].map((config) =>
      [...flatten(config)].map(([path, value]) => `${path}=${canonical(value)}`).sort(),
    );
    return JSON.stringify(texts[0]) === JSON.stringify(texts[1]);
  }
});

describe('the canonical text of a value', () => {
  it('is equal exactly for equal values', () => {
    fc.assert(
      fc.property(jsonArbitrary, jsonArbitrary, (a, b) => {
        expect(JSON.parse(canonical(a))).toEqual(JSON.parse(JSON.stringify(a)));
        if (canonical(a) === canonical(b)) expect(JSON.parse(JSON.stringify(a))).toEqual(JSON.parse(JSON.stringify(b)));
      }),
    );
  });
});
