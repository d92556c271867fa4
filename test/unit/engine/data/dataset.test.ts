import { describe, expect, it } from 'vitest';
import { encodeDataset, exampleAt, lengthsOf, type EncodeFast } from '../../../../src/engine/data/dataset.ts';

/** One token a character, type 1 for those of the pair. */
const encode: EncodeFast = (text, pair, maxLength) => {
  const first = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const second = Array.from(pair ?? '', (character) => character.codePointAt(0) ?? 0);
  return {
    ids: [...first, ...second].slice(0, maxLength),
    typeIds: [...first.map(() => 0), ...second.map(() => 1)].slice(0, maxLength),
  };
};

describe('a data set', () => {
  it('holds every example’s tokens, types and label', () => {
    const examples = [
      { text: 'ab', label: 1 },
      { text: 'c', pair: 'de', label: 0 },
      { text: 'x'.repeat(500), label: -1 },
    ];
    const dataset = encodeDataset(examples, 'classification', encode, 100);
    expect(dataset.count).toBe(3);
    expect([...lengthsOf(dataset)]).toEqual([2, 3, 100]);
    expect(dataset.ids).toHaveLength(105);
    expect(exampleAt(dataset, 1)).toEqual({
      ids: Int32Array.of(99, 100, 101),
      typeIds: Uint8Array.of(0, 1, 1),
      special: new Uint8Array(3),
      tokenLabels: undefined,
      label: 0,
    });
    expect(exampleAt(dataset, 2).label).toBe(-1);
    expect(() => exampleAt(dataset, 3)).toThrow(RangeError);
  });

  it('keeps gold scores in full precision', () => {
    const dataset = encodeDataset([{ text: 'a', pair: 'b', label: 3.8 }], 'regression', encode, 10);
    expect(dataset.labels[0]).toBe(3.8);
  });

  it('refuses a tokenizer that gives nothing, too much, or types that do not fit', () => {
    const one = [{ text: 'abc', label: 0 }];
    const bad: EncodeFast[] = [
      () => ({ ids: [], typeIds: [] }),
      () => ({ ids: [1, 2, 3], typeIds: [0, 0, 0] }),
      () => ({ ids: [1, 2], typeIds: [0] }),
    ];
    for (const broken of bad) expect(() => encodeDataset(one, 'classification', broken, 2)).toThrow(RangeError);
  });

  it('may be empty', () => {
    expect(encodeDataset([], 'classification', encode, 2)).toMatchObject({ count: 0, ids: new Int32Array(0) });
  });
});
