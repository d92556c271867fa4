import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { evaluateShape, type Shape } from '../../../../src/engine/graph/dims.ts';
import {
  asRows,
  crossEntropy,
  geluTanh,
  linear,
  logSumExp,
  mean,
  multiplyLast,
  squaredError,
} from '../../../../src/engine/graph/functions.ts';
import { dimension, gelu, input, matmul, transpose } from '../../../../src/engine/graph/operations.ts';
import type { Value } from '../../../../src/engine/graph/value.ts';
import { interpret, type Feed } from '../../../support/interpreter.ts';
import {
  batch,
  drawFeed,
  expectClose,
  finiteDifferences,
  law,
  sequence,
  someSeed,
  someShape,
  someSizes,
} from './support.ts';

function run(value: Value, feeds: Readonly<Record<string, Feed>>): Float64Array {
  return interpret({ value }, feeds).value.data;
}

const rows = fc.array(fc.array(fc.double({ min: -1e4, max: 1e4, noNaN: true }), { minLength: 3, maxLength: 3 }), {
  minLength: 1,
  maxLength: 4,
});

/** log Σ exp of each row, the greatest taken out first. */
function logSumExpOf(row: readonly number[]): number {
  const most = Math.max(...row);
  return most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
}

describe('crossEntropy', () => {
  const logits = input('logits', 'float32', [batch, 3]);
  const labels = input('labels', 'int64', [batch]);
  const losses = crossEntropy(logits, labels);
  const [gradient] = differentiate(losses, [logits]);

  function feedsOf(numbers: readonly (readonly number[])[], chosen: readonly number[]): Record<string, Feed> {
    return {
      logits: { shape: [numbers.length, 3], data: numbers.flat() },
      labels: { shape: [numbers.length], data: chosen },
    };
  }

  it('is log Σ exp minus the logit of the label, at any logits', () => {
    law(fc.tuple(rows, someSeed), ([numbers, seed]) => {
      const chosen = Array.from(drawFeed([numbers.length], seed, { below: 3 }).data);
      const expected = numbers.map((row, i) => logSumExpOf(row) - (row[chosen[i] ?? NaN] ?? NaN));
      expectClose(run(losses, feedsOf(numbers, chosen)), expected, 1e-12, 1);
    });
  });

  it('is stable at logits of ten thousand, and so is its gradient: softmax minus the label', () => {
    if (gradient === undefined) throw new Error('one gradient');
    const feeds = feedsOf(
      [
        [1e4, -1e4, 0],
        [1e4, -1e4, 0],
        [-1e4, -1e4, -1e4],
        [1e4, 1e4, -1e4],
      ],
      [0, 1, 2, 1],
    );
    expectClose(run(losses, feeds), [0, 2e4, Math.log(3), Math.log(2)], 1e-15);
    const third = 1 / 3;
    expectClose(run(gradient, feeds), [0, 0, 0, 1, -1, 0, third, third, third - 1, 0.5, -0.5, 0], 1e-12);
  });

  it('has the gradient that finite differences have', () => {
    if (gradient === undefined) throw new Error('one gradient');
    law(fc.tuple(someSizes, someSeed), ([sizes, seed]) => {
      const shape = evaluateShape([batch, 3], sizes);
      const feeds = { logits: drawFeed(shape, seed), labels: drawFeed(shape.slice(0, 1), seed, { below: 3 }) };
      expectClose(
        run(gradient, feeds),
        finiteDifferences(mean(losses), 'logits', feeds).map((x) => x * (shape[0] ?? NaN)),
        1e-6,
      );
    });
  });

  it('takes labels of 32 bits, and labels of any shape', () => {
    const words = input('words', 'int32', [batch, sequence]);
    const each = crossEntropy(input('logits', 'float32', [batch, sequence, 3]), words);
    const feeds = { logits: drawFeed([2, 2, 3], 5), words: { shape: [2, 2], data: [0, 1, 2, 1] } };
    const flat = { logits: { ...feeds.logits, shape: [4, 3] }, labels: { ...feeds.words, shape: [4] } };
    expect([...run(each, feeds)]).toEqual([...run(losses, flat)]);
  });
});

describe('logSumExp', () => {
  it('moves with its argument and lies between the maximum and the maximum plus log n', () => {
    const x = input('x', 'float32', [batch, 3]);
    law(fc.tuple(rows, fc.double({ min: -100, max: 100, noNaN: true })), ([numbers, shift]) => {
      const feed = (list: readonly number[]): Record<string, Feed> => ({
        x: { shape: [numbers.length, 3], data: list },
      });
      const plain = run(logSumExp(x), feed(numbers.flat()));
      const moved = run(logSumExp(x), feed(numbers.flat().map((n) => n + shift)));
      expectClose(
        moved,
        plain.map((n) => n + shift),
        1e-12,
        1,
      );
      numbers.forEach((row, i) => {
        expect(plain[i]).toBeGreaterThanOrEqual(Math.max(...row));
        expect(plain[i]).toBeLessThanOrEqual(Math.max(...row) + Math.log(3) + 1e-9);
      });
    });
  });
});

describe('geluTanh', () => {
  const x = input('x', 'float32', [batch]);
  const grid = Array.from({ length: 401 }, (_, i) => (i - 200) / 20);
  const feeds = { x: { shape: [grid.length], data: grid } };

  it('is its formula, and within 5e-4 of the exact form, equal far from 0', () => {
    const approximate = run(geluTanh(x), feeds);
    const exact = run(gelu(x), feeds);
    expectClose(
      approximate,
      grid.map((v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))),
      1e-12,
      1,
    );
    expectClose(approximate, exact, 5e-4, 1);
    for (const [i, v] of grid.entries()) {
      if (Math.abs(v) > 6) expect(approximate[i]).toBeCloseTo(Math.max(v, 0), 6);
    }
    // They are not the same function.
    expect(Math.max(...exact.map((y, i) => Math.abs(y - (approximate[i] ?? NaN))))).toBeGreaterThan(1e-4);
  });
});

describe('products over the last axis', () => {
  const cases = fc.record({ leading: someShape(0, 3), sizes: someSizes, seed: someSeed });

  it('linear is x Wᵀ + b, multiplyLast is x W, for any leading axes', () => {
    law(cases, ({ leading, sizes, seed }) => {
      const shape: Shape = [...leading, 3];
      const x = input('x', 'float32', shape);
      const w = input('w', 'float32', [2, 3]);
      const b = input('b', 'float32', [2]);
      const numbers = evaluateShape(shape, sizes);
      const feeds = {
        x: drawFeed(numbers, seed, 'normal', 'x'),
        w: drawFeed([2, 3], seed, 'normal', 'w'),
        b: drawFeed([2], seed, 'normal', 'b'),
      };
      const expected: number[] = [];
      for (let row = 0; row * 3 < feeds.x.data.length; row++) {
        for (let out = 0; out < 2; out++) {
          let sum = feeds.b.data[out] ?? NaN;
          for (let k = 0; k < 3; k++) sum += (feeds.x.data[row * 3 + k] ?? NaN) * (feeds.w.data[out * 3 + k] ?? NaN);
          expected.push(sum);
        }
      }
      const result = interpret({ y: linear(x, w, b) }, feeds).y;
      expect(result.shape).toEqual([...numbers.slice(0, -1), 2]);
      expectClose(result.data, expected, 1e-12);
      const plain = run(linear(x, w), feeds);
      expectClose(run(multiplyLast(x, transpose(w, [1, 0])), feeds), plain, 1e-12);
      if (leading.length > 0) expectClose(run(matmul(x, transpose(w, [1, 0])), feeds), plain, 1e-12);
    });
  });

  it('name the product whose widths differ', () => {
    const x = input('x', 'float32', [batch, sequence, 3]);
    expect(() => linear(x, input('w', 'float32', [2, 4]))).toThrow(/^gemm: .*float32\[batch\*sequence, 3\].*\[2, 4\]/);
    expect(() => asRows(input('scalar', 'float32', []))).toThrow(/has no axis -1/);
  });
});

describe('means', () => {
  it('mean is the sum of all elements by their number', () => {
    const x = input('x', 'float32', [batch, 2]);
    expect([...run(mean(x), { x: { shape: [2, 2], data: [1, 2, 6, 3] } })]).toEqual([3]);
  });

  it('squaredError squares each difference, and a dimension is known as a number', () => {
    const p = input('p', 'float32', [batch]);
    const t = input('t', 'float32', [batch]);
    const feeds = { p: { shape: [2], data: [1, 5] }, t: { shape: [2], data: [3, 4] } };
    const { errors, size } = interpret({ errors: squaredError(p, t), size: dimension(batch) }, feeds);
    expect([...errors.data]).toEqual([4, 1]);
    expect([...size.data]).toEqual([2]);
  });
});
