import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { evaluateShape, formatShape, multiplyDims } from '../../../../src/engine/graph/dims.ts';
import { linear } from '../../../../src/engine/graph/functions.ts';
import {
  add,
  broadcast,
  cast,
  concat,
  constant,
  divide,
  exp,
  gather,
  gelu,
  input,
  layerNorm,
  less,
  log,
  matmul,
  multiply,
  negate,
  pad,
  parameter,
  putRows,
  reduceMean,
  reduceSum,
  reshape,
  sigmoid,
  slice,
  softmax,
  sqrt,
  subtract,
  swapLastAxes,
  takeRows,
  tanh,
  weight,
  where,
} from '../../../../src/engine/graph/operations.ts';
import type { Value } from '../../../../src/engine/graph/value.ts';
import { interpret, type Feed } from '../../../support/interpreter.ts';
import {
  batch,
  drawFeed,
  expectClose,
  finiteDifferences,
  kindsOf,
  law,
  sequence,
  someSeed,
  someSizes,
  weightsReadBy,
} from './support.ts';

function sumOfAll(x: Value): Value {
  return reduceSum(
    x,
    x.shape.map((_, axis) => axis),
  );
}

/** The gradient of the sum of `output` by one target. */
function gradientOf(output: Value, target: Value): Value {
  const [gradient] = differentiate(output, [target]);
  if (gradient === undefined) throw new Error('one gradient a target');
  return gradient;
}

function numbersOf(value: Value, feeds: Readonly<Record<string, Feed>>): number[] {
  return [...interpret({ value }, feeds).value.data];
}

describe('differentiate', () => {
  it('accumulates over every use of a value', () => {
    const x = input('x', 'float32', [2]);
    const feeds = { x: { shape: [2], data: [3, -2] } };
    expect(numbersOf(gradientOf(multiply(x, x), x), feeds)).toEqual([6, -4]);
    expect(numbersOf(gradientOf(add(add(x, x), multiply(multiply(x, x), x)), x), feeds)).toEqual([29, 14]);
    expect(numbersOf(gradientOf(concat([x, x, x], 0), x), feeds)).toEqual([3, 3]);
    const square = reshape(x, [2, 1]);
    expect(numbersOf(gradientOf(matmul(square, swapLastAxes(square)), x), feeds)).toEqual([2, 2]);
  });

  it('starts with ones: the gradient of a sum over the elements of the output', () => {
    const x = input('x', 'float32', [3, 2]);
    expect(numbersOf(gradientOf(x, x), { x: drawFeed([3, 2], 1) })).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('gives the gradient by a value on the way, and by what lies beyond it', () => {
    const p = parameter('p', [2]);
    const middle = exp(p);
    const output = multiply(middle, middle);
    const feeds = { p: { shape: [2], data: [0, 1] } };
    const [byMiddle, byLeaf] = differentiate(output, [middle, p]);
    if (byMiddle === undefined || byLeaf === undefined) throw new Error('two gradients');
    expectClose(numbersOf(byMiddle, feeds), [2, 2 * Math.E], 1e-12);
    expectClose(numbersOf(byLeaf, feeds), [2, 2 * Math.E ** 2], 1e-12);
    const [self] = differentiate(middle, [middle]);
    expect(self && numbersOf(self, feeds)).toEqual([1, 1]);
  });

  it('gives a gradient for each target, in order, repeated ones too', () => {
    const p = parameter('p', [2]);
    const q = parameter('q', [3]);
    const output = add(sumOfAll(p), sumOfAll(multiply(q, 2)));
    const gradients = differentiate(output, [q, p, q]);
    expect(gradients.map((gradient) => formatShape(gradient.shape))).toEqual(['[3]', '[2]', '[3]']);
    expect(gradients[0]).toBe(gradients[2]);
  });

  it('can be taken again of the same graph, by other targets', () => {
    const p = parameter('p', [2]);
    const q = parameter('q', [2]);
    const output = multiply(tanh(p), q);
    const feeds = { p: drawFeed([2], 1), q: drawFeed([2], 2) };
    const [both] = differentiate(output, [p, q]);
    const [alone] = differentiate(output, [p]);
    if (both === undefined || alone === undefined) throw new Error('two gradients');
    expect(numbersOf(alone, feeds)).toEqual(numbersOf(both, feeds));
  });

  it('and of a gradient', () => {
    const x = input('x', 'float32', [3]);
    const feeds = { x: { shape: [3], data: [0.3, -1, 2] } };
    const third = gradientOf(gradientOf(gradientOf(tanh(x), x), x), x);
    const expected = [0.3, -1, 2].map((at) => {
      const t = Math.tanh(at);
      return -2 * (1 - t * t) * (1 - 3 * t * t);
    });
    expectClose(numbersOf(third, feeds), expected, 1e-12);
  });
});

describe('targets that the output does not depend on', () => {
  const p = parameter('unused', [2, 3]);
  const q = parameter('used', [2]);

  it('are an error that names them', () => {
    expect(() => differentiate(exp(q), [q, p])).toThrow('float32[2, 3] (unused) does not reach float32[2]');
    expect(() => differentiate(constant([1], []), [p])).toThrow(/\(unused\)/);
  });

  it('even where the target depends on the output', () => {
    expect(() => differentiate(q, [exp(q)])).toThrow(/does not reach float32\[2\] \(used\)/);
  });

  it('and so are those that reach it through conditions, indices or casts alone', () => {
    const x = input('x', 'float32', [2]);
    expect(() => differentiate(where(less(q, 0), x, 1), [q])).toThrow(/\(used\) does not reach/);
    expect(() => differentiate(gather(x, cast(q, 'int32')), [q])).toThrow(/\(used\) does not reach/);
    expect(() => differentiate(cast(cast(q, 'int32'), 'float32'), [q])).toThrow(/\(used\) does not reach/);
  });
});

describe('only paths that reach a trained tensor are walked', () => {
  const width = 4;

  function frozenLayer(x: Value, name: string): Value {
    const norm = layerNorm(x, weight(`${name}.scale`, [width]), weight(`${name}.shift`, [width]), 1e-5);
    const wide = gelu(linear(norm, weight(`${name}.up`, [2 * width, width]), weight(`${name}.up.bias`, [2 * width])));
    return add(x, linear(wide, weight(`${name}.down`, [width, 2 * width])));
  }

  function stack(x: Value, layers: number, name: string): Value {
    return Array.from({ length: layers }, (_, i) => `${name}.${i}`).reduce(frozenLayer, x);
  }

  const ids = input('ids', 'int64', [batch, sequence]);
  const embedded = gather(weight('embeddings', [10, width]), ids);

  it('a frozen stack below the lowest one costs nothing, however deep', () => {
    const backward = [0, 1, 6].map((depth) => {
      const p = parameter('p', [width]);
      const output = stack(add(stack(embedded, depth, 'below'), p), 2, 'above');
      return { output, gradient: gradientOf(sumOfAll(output), p) };
    });
    const [first, ...deeper] = backward.map(({ output, gradient }) => kindsOf([gradient], [output]));
    expect(first?.length).toBeGreaterThan(0);
    for (const kinds of deeper) expect(kinds).toEqual(first);
    for (const { output, gradient } of backward) {
      expect(weightsReadBy([gradient], [output]).filter((name) => !name.startsWith('above.'))).toEqual([]);
    }
  });

  it('nothing is computed for frozen weights', () => {
    const x = input('x', 'float32', [batch, width]);
    const p = parameter('p', [width]);
    const output = linear(multiply(x, p), weight('w', [3, width]), weight('b', [3]));
    const kinds = kindsOf([gradientOf(sumOfAll(output), p)], [output]);
    expect(kinds.filter((kind) => kind === 'gemm')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'reduceSum')).toHaveLength(1);
  });

  it('nor for a branch beside the path', () => {
    const p = parameter('p', [width]);
    const output = multiply(p, stack(embedded, 3, 'beside'));
    const gradient = gradientOf(output, p);
    expect(weightsReadBy([gradient], [output])).toEqual([]);
    expect(kindsOf([gradient], [output])).not.toContain('gemm');
  });

  it('and asking for one of several trained tensors leaves out the path to the others', () => {
    const low = parameter('low', [width]);
    const high = parameter('high', [width]);
    const output = add(stack(multiply(embedded, low), 2, 'between'), high);
    expect(weightsReadBy([gradientOf(output, high)], [output])).toEqual([]);
    expect(weightsReadBy([gradientOf(output, low)], [output])).not.toEqual([]);
  });
});

/** One step of a random graph: from values of shape `[batch, sequence, 4]`, another. */
type Step = (x: Value, y: Value, trained: { readonly square: Value; readonly vector: Value }) => Value;

const indices = input('indices', 'int64', [batch, 2]);

const steps: Readonly<Record<string, Step>> = {
  add: (x, y) => add(x, y),
  subtract: (x, y) => subtract(x, y),
  multiply: (x, y) => multiply(tanh(x), y),
  divide: (x, y) => divide(x, add(exp(tanh(y)), 1)),
  negate: (x) => negate(x),
  log: (x) => log(add(multiply(x, x), 1)),
  sqrt: (x) => sqrt(add(multiply(x, x), 1)),
  tanh: (x) => tanh(x),
  sigmoid: (x) => sigmoid(x),
  gelu: (x) => gelu(x),
  scale: (x, _, { vector }) => multiply(x, vector),
  shift: (x, _, { vector }) => add(reshape(vector, [1, 1, 4]), x),
  linear: (x, _, { square }) => linear(x, square, reduceMean(square, [0])),
  product: (x, _, { square }) => matmul(x, square),
  attention: (x, y) => matmul(softmax(matmul(x, swapLastAxes(y))), y),
  softmax: (x) => softmax(x),
  layerNorm: (x, _, { vector }) => layerNorm(x, vector, vector, 0.1),
  mean: (x, y) => subtract(x, reduceMean(y, [1], { keepAxes: true })),
  total: (x) => broadcast(multiply(reduceSum(x, [0, 2], { keepAxes: true }), 0.1), [batch, sequence, 4]),
  where: (x, y) => where(less(reduceSum(y, [2], { keepAxes: true }), 0), x, tanh(y)),
  rotate: (x) => concat([slice(x, 2, 1, 4), slice(x, 2, 0, 1)], 2),
  shiftRight: (x) => pad(slice(x, 2, 0, 3), 2, 1, 0),
  rows: (x, y) => add(putRows(tanh(takeRows(x, indices)), indices, sequence), y),
  latter: (x, y) => slice(concat([y, gelu(x)], 1), 1, sequence, multiplyDims(sequence, 2)),
};

/** Which step, and which of the values so far it takes. */
const someStep = fc.record({ name: fc.constantFrom(...Object.keys(steps)), x: fc.nat(), y: fc.nat() });

describe('a random graph of mixed operations', () => {
  it('has the gradients that finite differences have', () => {
    const cases = fc.record({
      plan: fc.array(someStep, { minLength: 1, maxLength: 12 }),
      sizes: someSizes,
      seed: someSeed,
    });
    law(cases, ({ plan, sizes, seed }) => {
      const shape = [batch, sequence, 4];
      const trained = { square: parameter('square', [4, 4]), vector: parameter('vector', [4]) };
      const values = [add(multiply(input('x', 'float32', shape), trained.vector), reduceMean(trained.square, [0]))];
      for (const { name, x, y } of plan) {
        const [first, second] = [values[x % values.length], values[y % values.length]];
        if (first === undefined || second === undefined) throw new Error('an empty pool');
        const next = steps[name]?.(first, second, trained);
        if (next !== undefined) values.push(next);
      }
      const last = values.slice(-3).reduce((a, b) => add(a, b));
      const output = sumOfAll(multiply(last, input('weights', 'float32', shape)));
      const numbers = evaluateShape(shape, sizes);
      const feeds = {
        x: drawFeed(numbers, seed, 'normal', 'x'),
        weights: drawFeed(numbers, seed, 'normal', 'weights'),
        square: drawFeed([4, 4], seed, 'normal', 'square'),
        vector: drawFeed([4], seed, 'positive', 'vector'),
        indices: drawFeed([numbers[0] ?? NaN, 2], seed, { below: numbers[1] ?? NaN }, 'indices'),
      };
      const [bySquare, byVector] = differentiate(output, [trained.square, trained.vector]);
      if (bySquare === undefined || byVector === undefined) throw new Error('two gradients');
      const gradients = interpret({ bySquare, byVector }, feeds, {}, sizes);
      // Only `where` has a jump in its slope, and random numbers stay off it.
      expectClose(gradients.bySquare.data, finiteDifferences(output, 'square', feeds), 1e-6, 1);
      expectClose(gradients.byVector.data, finiteDifferences(output, 'vector', feeds), 1e-6, 1);
    });
  });
});
