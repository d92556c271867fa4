import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entitiesOf, entityScores } from '../../../src/tasks/entities.ts';

const names = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'];

describe('entities', () => {
  it('begin at B, at I after O, and where the type changes, as in the CoNLL scorer', () => {
    const spans = (...labels: string[]) => entitiesOf(labels).map(({ type, start, end }) => `${type}:${start}-${end}`);
    expect(spans('B-PER', 'I-PER', 'O', 'B-LOC')).toEqual(['PER:0-2', 'LOC:3-4']);
    expect(spans('O', 'I-PER', 'I-PER')).toEqual(['PER:1-3']);
    expect(spans('B-PER', 'B-PER')).toEqual(['PER:0-1', 'PER:1-2']);
    expect(spans('I-PER', 'I-LOC', 'I-LOC')).toEqual(['PER:0-1', 'LOC:1-3']);
    expect(spans('O', 'O')).toEqual([]);
  });

  it('score as seqeval scores its documented example', () => {
    // seqeval's README: one of two entities right, precision and recall 0.5. Types there are MISC and PER; here LOC and PER.
    const gold = [0, 0, 0, 3, 4, 4, 0, 1, 2, 0];
    const predicted = [0, 0, 3, 4, 4, 4, 0, 1, 2, 0];
    expect(entityScores(names, predicted, gold, [0, 7, 10])).toEqual({ precision: 0.5, recall: 0.5, f1: 0.5 });
  });

  it('do not run on from one example into the next', () => {
    expect(entityScores(names, [1, 2], [1, 2], [0, 1, 2])).toEqual({ precision: 1, recall: 1, f1: 1 });
    expect(entityScores(names, [1, 2], [1, 2], [0, 2]).f1).toBe(1);
    expect(entityScores(names, [1, 1], [1, 2], [0, 2]).f1).toBe(0);
    expect(entityScores(names, [0, 0], [0, 0], [0, 2])).toEqual({ precision: 0, recall: 0, f1: 0 });
  });

  it('score 1 against themselves, and precision is recall with the sides exchanged', () => {
    const labels = fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(labels, labels, (a, b) => {
        const n = Math.min(a.length, b.length);
        const [x, y] = [a.slice(0, n), b.slice(0, n)];
        const score = (p: number[], g: number[]) => entityScores(names, p, g, [0, n]);
        if (entitiesOf(x.map((i) => names[i] ?? 'O')).length > 0) expect(score(x, x).f1).toBe(1);
        expect(score(x, y).precision).toBe(score(y, x).recall);
        expect(score(x, y).f1).toBe(score(y, x).f1);
      }),
    );
  });
});
