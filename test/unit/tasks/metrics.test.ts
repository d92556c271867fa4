import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  accuracy,
  averageRanks,
  combineSplits,
  evaluateTask,
  f1,
  f1Macro,
  f1Micro,
  matthews,
  pearson,
  predictionsOf,
  spearman,
} from '../../../src/tasks/metrics.ts';
import { findTask } from '../../../src/tasks/registry.ts';

interface GoldenCase {
  readonly name: string;
  readonly references: readonly number[];
  readonly predictions: readonly number[];
  readonly expected: Readonly<Record<string, number | null | readonly number[]>>;
}

const golden = JSON.parse(readFileSync(join(import.meta.dirname, '../../fixtures/metrics/glue.json'), 'utf8')) as {
  readonly cases: readonly GoldenCase[];
};

const metrics = {
  accuracy,
  mcc: matthews,
  f1_macro: f1Macro,
  f1_micro: f1Micro,
  f1_binary: f1,
  pearson,
  spearman,
} as const;

describe('metrics against scikit-learn and scipy', () => {
  for (const { name, predictions, references, expected } of golden.cases)
    it(name, () => {
      for (const [metric, compute] of Object.entries(metrics)) {
        const value = expected[metric];
        // null stands for undefined, which counts as 0 here.
        if (value === null) expect(compute(predictions, references)).toBe(0);
        else if (typeof value === 'number') expect(compute(predictions, references)).toBeCloseTo(value, 14);
      }
      const perClass = expected['f1_per_class'];
      if (Array.isArray(perClass)) {
        const classes = [...new Set([...references, ...predictions])].sort((a, b) => a - b);
        expect(classes.map((label) => f1(predictions, references, label))).toEqual(
          perClass.map((value: number) => expect.closeTo(value, 14) as number),
        );
      }
    });
});

describe('degenerate cases', () => {
  it('have correlation 0 where one side is constant, even when its mean is rounded', () => {
    expect(matthews([1, 1, 1], [0, 1, 1])).toBe(0);
    expect(pearson([0.1, 0.1, 0.1], [1, 2, 3])).toBe(0);
    expect(spearman([1, 2, 3], [0.1, 0.1, 0.1])).toBe(0);
  });

  it('have correlation 0 where a prediction is not finite', () => {
    expect(pearson([NaN, 1, 2], [1, 2, 3])).toBe(0);
    expect(pearson([Infinity, 1, 2], [1, 2, 3])).toBe(0);
    expect(spearman([NaN, 1, 2], [1, 2, 3])).toBe(0);
  });

  it('refuse what no metric is defined for', () => {
    expect(() => accuracy([], [])).toThrow(RangeError);
    expect(() => accuracy([1], [1, 0])).toThrow(RangeError);
  });
});

const paired = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), { minLength: 1 });

describe('laws', () => {
  it('micro F1 of all classes is accuracy', () => {
    fc.assert(
      fc.property(paired, (pairs) => {
        const predictions = pairs.map(([p]) => p);
        const labels = pairs.map(([, l]) => l);
        expect(f1Micro(predictions, labels)).toBeCloseTo(accuracy(predictions, labels), 12);
      }),
    );
  });

  it('correlations do not change under exchange of the sides or a linear map', () => {
    fc.assert(
      fc.property(paired, (pairs) => {
        const x = pairs.map(([p]) => p);
        const y = pairs.map(([, l]) => l);
        for (const correlation of [matthews, pearson, spearman])
          expect(correlation(x, y)).toBeCloseTo(correlation(y, x), 12);
        const mapped = x.map((value) => 3 * value - 7);
        for (const correlation of [pearson, spearman])
          expect(correlation(mapped, y)).toBeCloseTo(correlation(x, y), 12);
      }),
    );
  });

  it('ranks sum to n (n + 1) / 2, whatever the ties', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5 })), (values) => {
        const n = values.length;
        expect(averageRanks(values).reduce((sum, rank) => sum + rank, 0)).toBe((n * (n + 1)) / 2);
      }),
    );
  });

  it('micro F1 of some classes leaves the others out', () => {
    expect(f1Micro([0, 1, 2, 0], [0, 1, 1, 0], new Set([1, 2]))).toBe(0.5);
  });
});

describe('evaluateTask', () => {
  it('reads classes from logits, the first of equals winning', () => {
    expect([...predictionsOf(findTask('mnli'), [0, 1, 0, 5, 5, 1, -3, -2, -1])]).toEqual([1, 0, 2]);
    expect([...predictionsOf(findTask('stsb'), [1.5, 4])]).toEqual([1.5, 4]);
    expect(() => predictionsOf(findTask('mnli'), [1, 2])).toThrow(RangeError);
  });

  it('scores MRPC and QQP by the mean of accuracy and F1', () => {
    for (const id of ['mrpc', 'qqp'])
      expect(evaluateTask(findTask(id), [1, 1, 0, 0], [1, 0, 0, 0])).toEqual({
        accuracy: 0.75,
        f1: expect.closeTo(2 / 3, 14) as number,
        score: expect.closeTo((0.75 + 2 / 3) / 2, 14) as number,
      });
  });

  it('scores STS-B by the mean of both correlations and CoLA by Matthews', () => {
    const stsb = evaluateTask(findTask('stsb'), [1, 2, 4], [1, 2, 3]);
    expect(stsb['score']).toBeCloseTo(((stsb['pearson'] ?? NaN) + 1) / 2, 14);
    expect(evaluateTask(findTask('cola'), [1, 0, 1], [1, 0, 0])).toMatchObject({ score: 0.5, mcc: 0.5 });
  });

  it('joins the two parts of MNLI', () => {
    expect(
      combineSplits({ dev: { accuracy: 0.8, score: 0.8 }, 'dev-mismatched': { accuracy: 0.9, score: 0.9 } }),
    ).toEqual({ accuracy: 0.8, accuracyMismatched: 0.9, score: expect.closeTo(0.85, 14) as number });
    expect(combineSplits({ dev: { accuracy: 0.8, score: 0.8 } })).toEqual({ accuracy: 0.8, score: 0.8 });
  });
});
