import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../../src/base/random.ts';
import {
  assembleBatch,
  batchCount,
  batchIndices,
  evaluationBatches,
  planEpoch,
  planEvaluation,
  scatterRows,
  trainingOrder,
  type BatchPlan,
} from '../../../../src/engine/data/batches.ts';
import { encodeDataset } from '../../../../src/engine/data/dataset.ts';

const plans = fc.record({
  lengths: fc.array(fc.integer({ min: 1, max: 64 }), { maxLength: 120 }),
  batchSize: fc.integer({ min: 1, max: 12 }),
  window: fc.integer({ min: 1, max: 6 }),
  seed: fc.integer({ min: 0, max: 1000 }),
  epoch: fc.integer({ min: 0, max: 50 }),
});

function batchesOf(plan: BatchPlan): number[][] {
  return Array.from({ length: plan.starts.length - 1 }, (_, batch) => [...batchIndices(plan, batch)]);
}

/** The share of positions that are padding, when each batch is as wide as its longest example. */
function paddingOf(lengths: ArrayLike<number>, batches: readonly (readonly number[])[]): number {
  const lengthsOf = batches.map((batch) => batch.map((index) => lengths[index] ?? NaN));
  const tokens = lengthsOf.flat().reduce((sum, length) => sum + length, 0);
  const positions = lengthsOf.reduce((sum, batch) => sum + batch.length * Math.max(...batch), 0);
  return 1 - tokens / positions;
}

/** Lengths as sentences have them: many short, few long. */
function sentenceLengths(count: number): Uint32Array {
  const random = randomStream(7, 'test.lengths');
  return Uint32Array.from({ length: count }, () => 4 + Math.floor(-12 * Math.log(1 - random.uniform())));
}

describe('an epoch', () => {
  it('holds every example exactly once, in full batches but for a smaller last one', () => {
    fc.assert(
      fc.property(plans, ({ lengths, ...options }) => {
        const batches = batchesOf(planEpoch(lengths, options));
        expect(batches).toHaveLength(batchCount(lengths.length, options.batchSize));
        expect(batches.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
        for (const batch of batches.slice(0, -1)) expect(batch).toHaveLength(options.batchSize);
      }),
    );
  });

  it('is the same for the same seed and epoch, and another otherwise', () => {
    const lengths = sentenceLengths(1000);
    const plan = planEpoch(lengths, { batchSize: 16, seed: 3, epoch: 2 });
    expect(planEpoch(lengths, { batchSize: 16, seed: 3, epoch: 2 })).toEqual(plan);
    expect(planEpoch(lengths, { batchSize: 16, seed: 3, epoch: 3 }).order).not.toEqual(plan.order);
    expect(planEpoch(lengths, { batchSize: 16, seed: 4, epoch: 2 }).order).not.toEqual(plan.order);
  });

  it('puts similar lengths together: far less padding than a plain shuffle', () => {
    const lengths = sentenceLengths(5000);
    const padding = (window: number): number =>
      paddingOf(lengths, batchesOf(planEpoch(lengths, { batchSize: 32, seed: 0, epoch: 0, window })));
    expect(padding(1)).toBeGreaterThan(0.6);
    expect(padding(50)).toBeLessThan(0.1);
  });

  it('does not order the batches by length, nor pair the same examples from epoch to epoch', () => {
    const lengths = sentenceLengths(3200);
    const batches = batchesOf(planEpoch(lengths, { batchSize: 32, seed: 0, epoch: 0 }));
    const means = batches.map((batch) => batch.reduce((sum, index) => sum + (lengths[index] ?? 0), 0) / batch.length);
    const rises = means.slice(1).filter((value, i) => value > (means[i] ?? 0)).length;
    expect(rises).toBeGreaterThan(batches.length * 0.3);
    expect(rises).toBeLessThan(batches.length * 0.7);

    const partners = (epoch: number): Set<number> => {
      const found = batchesOf(planEpoch(lengths, { batchSize: 32, seed: 0, epoch })).find((batch) => batch.includes(0));
      return new Set(found);
    };
    const again = partners(1);
    expect([...partners(0)].filter((index) => again.has(index)).length).toBeLessThan(16);
  });

  it('lets the smaller batch be of any length', () => {
    const lengths = Uint32Array.from({ length: 100 }, (_, i) => i + 1);
    const means = Array.from({ length: 30 }, (_, epoch) => {
      const last = batchesOf(planEpoch(lengths, { batchSize: 8, seed: 0, epoch })).at(-1) ?? [];
      expect(last).toHaveLength(4);
      return last.reduce((sum, index) => sum + index, 0) / last.length;
    });
    expect(Math.min(...means)).toBeLessThan(25);
    expect(Math.max(...means)).toBeGreaterThan(75);
  });
});

describe('a position', () => {
  it('resumes the same remaining batches', () => {
    fc.assert(
      fc.property(
        plans.filter(({ lengths }) => lengths.length > 0),
        fc.nat(200),
        ({ lengths, batchSize, seed, window }, skipped) => {
          const options = { batchSize, seed, window };
          const perEpoch = batchCount(lengths.length, batchSize);
          const whole = trainingOrder(lengths, options);
          let position = { epoch: 0, batch: 0 };
          for (let i = 0; i < skipped; i++) {
            expect(whole.next().value.position).toEqual(position);
            position = { epoch: Math.floor((i + 1) / perEpoch), batch: (i + 1) % perEpoch };
          }
          const resumed = trainingOrder(lengths, options, position);
          for (let i = 0; i < perEpoch + 2; i++) expect(resumed.next().value).toEqual(whole.next().value);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is refused where there is nothing to order', () => {
    expect(() => trainingOrder([], { batchSize: 4, seed: 0 }).next()).toThrow(RangeError);
    expect(() => planEpoch([1], { batchSize: 0, seed: 0, epoch: 0 })).toThrow(RangeError);
  });
});

const dataset = encodeDataset(
  [
    { text: 'abc', label: 1 },
    { text: 'd', pair: 'ef', label: 0 },
    { text: 'ghijk', label: 1 },
  ],
  'classification',
  (text, pair) => {
    const ids = Array.from(text + (pair ?? ''), (character) => character.charCodeAt(0));
    return { ids, typeIds: ids.map((_, i) => (i < text.length ? 0 : 1)) };
  },
  8,
);

describe('a batch', () => {
  it('is padded on the right to its own longest example', () => {
    const batch = assembleBatch(dataset, Uint32Array.of(1, 0), { padId: 9 });
    expect(batch).toEqual({
      shape: [2, 3],
      inputIds: Int32Array.of(100, 101, 102, 97, 98, 99),
      attentionMask: new Int32Array(6).fill(1),
      typeIds: Int32Array.of(0, 1, 1, 0, 0, 0),
      special: new Uint8Array(6),
      labelled: 'examples',
      labels: Int32Array.of(0, 1),
      indices: Uint32Array.of(1, 0),
      tokens: 6,
    });
  });

  it('is rounded up to a multiple, padding masked', () => {
    const batch = assembleBatch(dataset, Uint32Array.of(0), { padId: 1, multipleOf: 4 });
    expect(batch.shape).toEqual([1, 4]);
    expect(batch.inputIds).toEqual(Int32Array.of(97, 98, 99, 1));
    expect(batch.attentionMask).toEqual(Int32Array.of(1, 1, 1, 0));
    expect(batch.labels).toEqual(Int32Array.of(1));
    expect(batch.tokens).toBe(3);
  });

  it('of scores has float labels', () => {
    const scores = { ...dataset, kind: 'regression' as const, labels: Float64Array.of(0.5, 3.8, 5) };
    const batch = assembleBatch(scores, Uint32Array.of(0, 1), { padId: 0 });
    expect(batch.labels).toEqual(Float32Array.of(0.5, 3.8));
  });

  it('of no example, or of one that is not there, is refused', () => {
    const options = { padId: 0 };
    expect(() => assembleBatch(dataset, new Uint32Array(0), options)).toThrow(RangeError);
    expect(() => assembleBatch(dataset, Uint32Array.of(3), options)).toThrow(RangeError);
  });
});

describe('an evaluation', () => {
  it('goes from the longest batch to the shortest and restores the order of its rows', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        (lengths, size) => {
          const plan = planEvaluation(lengths, size);
          const inOrder = [...plan.order].map((index) => lengths[index] ?? 0);
          expect(inOrder).toEqual(lengths.toSorted((a, b) => b - a));
          const target = new Float64Array(lengths.length * 2);
          for (const batch of batchesOf(plan))
            scatterRows(
              target,
              2,
              Uint32Array.from(batch),
              batch.flatMap((index) => [index, -index]),
            );
          expect([...target]).toEqual(lengths.flatMap((_, index) => [index, -index]));
        },
      ),
    );
  });

  it('covers the data set', () => {
    const seen = [...evaluationBatches(dataset, 2, { padId: 0 })];
    expect(seen.map(({ shape }) => shape)).toEqual([
      [2, 5],
      [1, 3],
    ]);
    expect(seen.flatMap(({ indices }) => [...indices]).sort()).toEqual([0, 1, 2]);
    expect(() => scatterRows(new Float32Array(2), 1, Uint32Array.of(0), [1, 2])).toThrow(RangeError);
    expect(() => scatterRows(new Float32Array(2), 1, Uint32Array.of(2), [1])).toThrow(RangeError);
  });
});
