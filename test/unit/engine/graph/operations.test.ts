import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addDims, formatShape, multiplyDims, symbol, type Shape } from '../../../../src/engine/graph/dims.ts';
import {
  add,
  broadcast,
  cast,
  concat,
  constant,
  dimension,
  divide,
  equal,
  exp,
  gather,
  gemm,
  input,
  iota,
  layerNorm,
  layerNormStatistic,
  less,
  matmul,
  multiply,
  pad,
  parameter,
  putRows,
  reduceMax,
  reduceMean,
  reduceSum,
  reshape,
  scalar,
  scatterAdd,
  slice,
  softmax,
  splitRows,
  subtract,
  swapLastAxes,
  takeRows,
  transpose,
  where,
} from '../../../../src/engine/graph/operations.ts';
import {
  GraphError,
  parametersOf,
  topologicalOrder,
  type OperationKind,
  type Value,
} from '../../../../src/engine/graph/value.ts';
import { interpret } from '../../../support/interpreter.ts';
import { batch, drawFeed, law, sequence, someSeed, someShape, someSizes } from './support.ts';

const float = (...shape: Shape): Value => input(`f${formatShape(shape)}`, 'float32', shape);
const int = (...shape: Shape): Value => input(`i${formatShape(shape)}`, 'int32', shape);
const bool = (...shape: Shape): Value => input(`b${formatShape(shape)}`, 'bool', shape);

function thrownBy(build: () => unknown): unknown {
  try {
    build();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('errors while a graph is built name the operation and the shapes', () => {
  const mistakes: readonly (readonly [OperationKind, string, () => Value, readonly string[]])[] = [
    ['add', 'shapes that do not broadcast', () => add(float(2, 3), float(2, 4)), ['float32[2, 3]', 'float32[2, 4]']],
    ['add', 'two symbols', () => add(float(batch), float(sequence)), ['float32[batch]', 'float32[sequence]']],
    ['multiply', 'two dtypes', () => multiply(float(2), int(2)), ['float32[2]', 'int32[2]']],
    ['subtract', 'booleans', () => subtract(bool(2), bool(2)), ['bool[2]']],
    ['less', 'two dtypes', () => less(float(2), int(2)), ['float32[2]', 'int32[2]']],
    ['equal', 'booleans', () => equal(bool(2), bool(2)), ['bool[2]']],
    ['exp', 'integers', () => exp(int(2, 3)), ['int32[2, 3]']],
    ['where', 'a condition of numbers', () => where(float(2), 1, 2), ['float32[2]']],
    ['where', 'branches of two dtypes', () => where(bool(2), float(2), int(2)), ['float32[2]', 'int32[2]']],
    ['where', 'shapes that do not broadcast', () => where(bool(2), float(3), 0), ['bool[2]', 'float32[3]']],
    ['constant', 'too few numbers', () => constant([1, 2], [3]), ['2 numbers', '[3]']],
    ['matmul', 'vectors', () => matmul(float(3), float(3, 2)), ['float32[3]']],
    ['matmul', 'inner dimensions', () => matmul(float(batch, 3), float(4, 2)), ['[batch, 3]', '[4, 2]']],
    ['matmul', 'leading dimensions', () => matmul(float(2, 3, 4), float(3, 4, 5)), ['[2, 3, 4]', '[3, 4, 5]']],
    ['matmul', 'integers', () => matmul(int(2, 2), int(2, 2)), ['int32[2, 2]']],
    ['gemm', 'more than matrices', () => gemm(float(2, 3, 4), float(4, 5)), ['[2, 3, 4]', '[4, 5]']],
    [
      'gemm',
      'inner dimensions',
      () => gemm(float(2, 3), float(3, 4), { transposeB: true }),
      ['B transposed', '[3, 4]'],
    ],
    ['gemm', 'a bias too wide', () => gemm(float(1, 3), float(3, 4), { bias: float(2, 4) }), ['bias', '[2, 4]']],
    ['gemm', 'a bias of another width', () => gemm(float(2, 3), float(3, 4), { bias: float(3) }), ['bias', '[3]']],
    ['reshape', 'another size', () => reshape(float(batch, 6), [batch, 5]), ['[batch, 6]', '[batch, 5]']],
    ['reshape', 'rows that do not split', () => splitRows(float(sequence, 2), batch), ['[batch]', '[sequence, 2]']],
    ['transpose', 'a repeated axis', () => transpose(float(2, 3), [0, 0]), ['[0, 0]', 'float32[2, 3]']],
    ['transpose', 'too few axes', () => transpose(float(2, 3), [0]), ['[0]', 'float32[2, 3]']],
    ['transpose', 'a vector', () => swapLastAxes(float(3)), ['float32[3]']],
    ['broadcast', 'a narrower shape', () => broadcast(float(2, 3), [3]), ['[2, 3]', '[3]']],
    ['broadcast', 'another shape', () => broadcast(float(3), [batch, 4]), ['[3]', '[batch, 4]']],
    ['slice', 'beyond the end', () => slice(float(2, 3), 1, 1, 4), ['[1, 4]', 'axis 1', 'float32[2, 3]']],
    ['slice', 'before the start', () => slice(float(3), 0, -1, 2), ['[-1, 2]', 'float32[3]']],
    ['slice', 'backwards', () => slice(float(3), 0, 2, 1), ['[2, 1]', 'float32[3]']],
    ['slice', 'beyond a symbolic end', () => slice(float(batch), 0, 0, addDims(batch, 1)), ['[batch]', 'batch+1']],
    ['slice', 'an axis it does not have', () => slice(float(3), 1, 0, 1), ['axis 1', 'float32[3]']],
    ['concat', 'nothing', () => concat([], 0), []],
    ['concat', 'shapes that differ', () => concat([float(2, 3), float(2, 4)], 0), ['float32[2, 3]', 'float32[2, 4]']],
    ['concat', 'ranks that differ', () => concat([float(2), float(2, 1)], 0), ['float32[2]', 'float32[2, 1]']],
    ['concat', 'two dtypes', () => concat([float(2), int(2)], 0), ['float32[2]', 'int32[2]']],
    ['pad', 'an axis it does not have', () => pad(float(2), -2, 1, 0), ['axis -2', 'float32[2]']],
    ['pad', 'by less than nothing', () => pad(float(2), 0, -1, 0), ['float32[2]', '-1']],
    ['reduceSum', 'booleans', () => reduceSum(bool(2), [0]), ['bool[2]']],
    ['reduceSum', 'an axis it does not have', () => reduceSum(float(2), [1]), ['axis 1', 'float32[2]']],
    ['reduceMax', 'integers', () => reduceMax(int(2), [0]), ['int32[2]']],
    ['softmax', 'a scalar', () => softmax(float()), ['float32[]']],
    ['softmax', 'integers', () => softmax(int(2)), ['int32[2]']],
    [
      'layerNorm',
      'a scale of another width',
      () => layerNorm(float(2, 3), float(2), float(3), 1e-5),
      ['float32[2, 3]', 'float32[2]'],
    ],
    ['layerNormStatistic', 'something else', () => layerNormStatistic(float(3), 'mean'), ['float32[3]']],
    ['gather', 'indices that are no integers', () => gather(float(3, 2), float(4)), ['float32[3, 2]', 'float32[4]']],
    ['gather', 'a scalar', () => gather(float(), int(4)), ['float32[]']],
    ['scatterAdd', 'updates that do not fit', () => scatterAdd(float(3, 2), int(4), 5), ['float32[3, 2]', 'int32[4]']],
    ['scatterAdd', 'integers', () => scatterAdd(int(4), int(4), 5), ['int32[4]']],
    ['takeRows', 'two batches', () => takeRows(float(2, 3, 4), int(3, 1)), ['float32[2, 3, 4]', 'int32[3, 1]']],
    ['takeRows', 'a matrix', () => takeRows(float(2, 3), int(2, 1)), ['float32[2, 3]']],
    ['takeRows', 'positions that are no integers', () => takeRows(float(2, 3, 4), bool(2, 1)), ['bool[2, 1]']],
    [
      'putRows',
      'updates that do not fit',
      () => putRows(float(2, 3, 4), int(2, 1), 5),
      ['float32[2, 3, 4]', 'int32[2, 1]'],
    ],
  ];

  it.each(mistakes)('%s of %s', (kind, _, build, parts) => {
    const error = thrownBy(build);
    expect(error).toBeInstanceOf(GraphError);
    if (!(error instanceof GraphError)) return;
    expect(error.operation).toBe(kind);
    expect(error.message.startsWith(`${kind}: `)).toBe(true);
    for (const part of parts) expect(error.message).toContain(part);
  });

  it('and the names of tensors', () => {
    expect(() => gemm(parameter('down', [3, 4]), parameter('up', [5, 2]))).toThrow(
      'gemm: inner dimensions differ; inputs float32[3, 4] (down), float32[5, 2] (up)',
    );
  });
});

describe('shapes and dtypes', () => {
  const x = float(batch, sequence, 4);
  const flat = multiplyDims(batch, sequence);
  const inferred: readonly (readonly [string, Value, Shape])[] = [
    ['broadcasting both ways', add(float(batch, 1, 4), float(sequence, 1)), [batch, sequence, 4]],
    ['a number', add(x, 1), x.shape],
    ['matmul with leading axes', matmul(float(batch, 2, 3, 5), float(2, 5, sequence)), [batch, 2, 3, sequence]],
    ['gemm', gemm(float(4, batch), float(sequence, 4), { transposeA: true, transposeB: true }), [batch, sequence]],
    ['reshape over symbols', reshape(x, [flat, 2, 2]), [flat, 2, 2]],
    ['rows split', splitRows(float(multiplyDims(flat, 2), 3), batch), [batch, multiplyDims(sequence, 2), 3]],
    ['transpose', transpose(x, [2, 0, 1]), [4, batch, sequence]],
    ['slice', slice(x, 1, 1, sequence), [batch, addDims(sequence, -1), 4]],
    ['slice to nothing', slice(x, -1, 2, 2), [batch, sequence, 0]],
    ['concat', concat([x, float(batch, 3, 4)], -2), [batch, addDims(sequence, 3), 4]],
    ['pad', pad(x, 1, 2, batch), [batch, addDims(addDims(sequence, 2), batch), 4]],
    ['reduction that keeps axes', reduceSum(x, [0, -1], { keepAxes: true }), [1, sequence, 1]],
    ['reduction', reduceMax(x, [-2]), [batch, 4]],
    ['reduction of all', reduceMean(x, [0, 1, 2]), []],
    ['gather', gather(float(9, 4), int(batch, sequence)), [batch, sequence, 4]],
    ['scatterAdd', scatterAdd(float(batch, sequence, 4), int(batch, sequence), 9), [9, 4]],
    ['takeRows', takeRows(x, int(batch, 2)), [batch, 2, 4]],
    ['putRows', putRows(float(batch, 2, 4), int(batch, 2), sequence), [batch, sequence, 4]],
    ['a known dimension', dimension(7), []],
  ];

  it.each(inferred)('%s', (_, value, shape) => {
    expect(formatShape(value.shape)).toBe(formatShape(shape));
  });

  it('dtypes follow the operands', () => {
    expect(add(int(2), 1).dtype).toBe('int32');
    expect(divide(1, iota(3, 'int64')).dtype).toBe('int64');
    expect(less(0, int(2)).dtype).toBe('bool');
    expect(where(bool(2), int(2), 0).dtype).toBe('int32');
    expect(cast(bool(2), 'float32').dtype).toBe('float32');
    expect(gather(int(5), int(2)).dtype).toBe('int32');
    expect(dimension(batch, 'int64').dtype).toBe('int64');
    expect(scalar(1, 'int32').dtype).toBe('int32');
  });
});

describe('nothing is made where nothing is done', () => {
  it('identities give back their input', () => {
    const x = float(batch, 3);
    expect(reshape(x, [batch, 3])).toBe(x);
    expect(reshape(reshape(x, [3, batch]), x.shape)).toBe(x);
    expect(transpose(transpose(x, [1, 0]), [1, 0])).toBe(x);
    expect(broadcast(x, x.shape)).toBe(x);
    expect(slice(x, 0, 0, batch)).toBe(x);
    expect(pad(x, 1, 0, 0)).toBe(x);
    expect(concat([x], 1)).toBe(x);
    expect(cast(x, 'float32')).toBe(x);
    expect(reduceSum(x, [])).toBe(x);
  });

  it('chains of views are one view', () => {
    const x = float(2, 3, 4);
    expect(topologicalOrder([reshape(reshape(x, [6, 4]), [4, 6])])).toHaveLength(2);
    expect(topologicalOrder([transpose(transpose(x, [1, 0, 2]), [0, 2, 1])])).toHaveLength(2);
  });

  it('and a chain of transpositions means what its parts mean', () => {
    const permuted = someShape(2, 4).chain((shape) => {
      const axes = shape.map((_, axis) => axis);
      const order = fc.shuffledSubarray(axes, { minLength: axes.length });
      return fc.record({ shape: fc.constant(shape), first: order, second: order, sizes: someSizes, seed: someSeed });
    });
    law(permuted, ({ shape, first, second, sizes, seed }) => {
      const x = input('x', 'float32', shape);
      const between = transpose(x, first);
      const fed = input('between', 'float32', between.shape);
      const numbers = drawFeed(
        shape.map((dim) => (typeof dim === 'number' ? dim : (sizes[dim.text] ?? NaN))),
        seed,
      );
      const once = interpret({ between, both: transpose(between, second) }, { x: numbers });
      const twice = interpret({ both: transpose(fed, second) }, { between: once.between });
      expect(once.both).toEqual(twice.both);
    });
  });
});

describe('arithmetic', () => {
  const run = (value: Value, feeds: Readonly<Record<string, readonly number[]>> = {}): number[] => {
    const shaped = Object.entries(feeds).map(([name, data]) => [name, { shape: [data.length], data }] as const);
    return [...interpret({ value }, Object.fromEntries(shaped)).value.data];
  };
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

  it('of int32 wraps around', () => {
    const x = input('x', 'int32', [1]);
    const y = input('y', 'int32', [1]);
    law(fc.tuple(word, word), ([a, b]) => {
      const feeds = { x: [a], y: [b] };
      const wrapped = (n: bigint): number => Number(BigInt.asIntN(32, n));
      expect(run(add(x, y), feeds)).toEqual([wrapped(BigInt(a) + BigInt(b))]);
      expect(run(subtract(x, y), feeds)).toEqual([wrapped(BigInt(a) - BigInt(b))]);
      expect(run(multiply(x, y), feeds)).toEqual([wrapped(BigInt(a) * BigInt(b))]);
      if (b !== 0) expect(run(divide(x, y), feeds)).toEqual([wrapped(BigInt(a) / BigInt(b))]);
    });
  });

  it('means divide by sizes known at run time', () => {
    const x = input('x', 'float32', [symbol('n')]);
    expect(run(reduceMean(x, [0]), { x: [1, 2, 6] })).toEqual([3]);
    const doubled = add(reduceSum(x, [0]), dimension(multiplyDims(symbol('n'), 2)));
    expect(run(doubled, { x: [1, 2, 6] })).toEqual([15]);
  });
});

describe('walking a graph', () => {
  it('finds every value once, inputs first, and the parameters in order of creation', () => {
    const p = parameter('p', [2]);
    const q = parameter('q', [2]);
    const sum = add(q, p);
    const output = multiply(sum, add(sum, float(2)));
    const order = topologicalOrder([output, sum]);
    expect(new Set(order).size).toBe(order.length);
    for (const value of order) {
      for (const before of value.inputs) expect(order.indexOf(before)).toBeLessThan(order.indexOf(value));
    }
    expect(parametersOf([output])).toEqual([p, q]);
    expect(parametersOf([float(2)])).toEqual([]);
  });
});
