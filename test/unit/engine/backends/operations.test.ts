import { describe, expect, test } from 'vitest';
import type { TensorData, WeightLocation } from '../../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../../../src/engine/backends/tfjs/tfjs-backend.ts';
import { multiplyDims, symbol } from '../../../../src/engine/graph/dims.ts';
import {
  add,
  broadcast,
  cast,
  concat,
  constant,
  dimension,
  divide,
  equal,
  erf,
  exp,
  gather,
  gelu,
  gemm,
  input,
  iota,
  layerNorm,
  layerNormStatistic,
  less,
  log,
  matmul,
  multiply,
  negate,
  pad,
  parameter,
  putRows,
  reciprocal,
  reduceMax,
  reduceMean,
  reduceSum,
  relu,
  reshape,
  scatterAdd,
  sigmoid,
  slice,
  softmax,
  sqrt,
  subtract,
  takeRows,
  tanh,
  transpose,
  weight,
  where,
} from '../../../../src/engine/graph/operations.ts';
import type { OperationKind, Value } from '../../../../src/engine/graph/value.ts';
import { cpu, expectAgreement, floats, noise, tensor } from './agreement.ts';

const [batch, sequence] = [symbol('batch'), symbol('sequence')];
const tokens = multiplyDims(batch, sequence);

const hidden = input('hidden', 'float32', [batch, sequence, 6]);
const other = input('other', 'float32', [batch, sequence, 6]);
const matrix = input('matrix', 'float32', [tokens, 6]);
const positive = (): Value => add(multiply(hidden, hidden), 0.5);
const integers = input('integers', 'int32', [batch, sequence]);
const longs = input('longs', 'int64', [batch, sequence]);
const mask = input('mask', 'bool', [batch, sequence]);
const vector = parameter('vector', [6]);
const shift = parameter('shift', [6]);
const square = parameter('square', [6, 6]);
const table = parameter('table', [5, 6]);

/** Two examples of three tokens: every symbol has a value of its own, and tokens 1 to 3 of the indices repeat. */
const feeds: Readonly<Record<string, TensorData>> = {
  hidden: floats([2, 3, 6], noise(36, 3)),
  other: floats([2, 3, 6], noise(36, 4)),
  matrix: floats([6, 6], noise(36, 5)),
  integers: tensor('int32', [2, 3], [4, -7, 2147483647, 0, 3, -2147483648]),
  rows: tensor('int32', [2, 3], [4, 1, 1, 0, 1, 4]),
  longs: tensor('int64', [2, 3], [3, 0, 3, 2, 2, 2]),
  mask: tensor('bool', [2, 3], [1, 0, 1, 1, 0, 0]),
  vector: floats([6], noise(6, 6)),
  shift: floats([6], noise(6, 7)),
  square: floats([6, 6], noise(36, 8)),
  table: floats([5, 6], noise(30, 9)),
  positions: tensor('int32', [2, 4], [2, 0, 0, 1, 1, 1, 2, 1]),
  longPositions: tensor('int64', [2, 1], [2, 0]),
};

const frozen: WeightLocation & { readonly kind: 'data' } = {
  kind: 'data',
  shape: [4, 6],
  data: Float32Array.from(noise(24, 10)),
};

const norm = (): Value => layerNorm(hidden, vector, shift, 1e-12);
const rows = input('rows', 'int32', [batch, sequence]);
const positions = input('positions', 'int32', [batch, 4]);
const longPositions = input('longPositions', 'int64', [batch, 1]);

function everyGemm(): Record<string, Value> {
  const flags = [false, true];
  const a = input('matrix', 'float32', [6, 6]);
  const combinations = flags.flatMap((transposeA) => flags.map((transposeB) => ({ transposeA, transposeB })));
  return Object.fromEntries(
    combinations.flatMap((flag, i) => [
      [`plain${i}`, gemm(a, square, flag)],
      [`scaled${i}`, gemm(a, square, { ...flag, scale: -0.5 })],
      [`biased${i}`, gemm(a, square, { ...flag, scale: 2, bias: vector })],
      [`columnBiased${i}`, gemm(a, square, { ...flag, bias: reshape(vector, [6, 1]) })],
    ]),
  );
}

/** Graphs that exercise each operation; the type demands one for every kind there is. */
const cases: Readonly<Record<OperationKind, () => Readonly<Record<string, Value>>>> = {
  input: () => ({ itself: hidden, bytes: mask, long: longs }),
  parameter: () => ({ square: square }),
  weight: () => ({
    itself: weight('frozen', [4, 6]),
    product: gemm(reshape(hidden, [tokens, 6]), weight('frozen', [4, 6]), { transposeB: true }),
  }),
  constant: () => ({
    float: constant([1, -2.5, 1e-30, 3e38, 0, -0], [2, 3]),
    int: constant([2147483647, -2147483648], [2], 'int32'),
    long: constant([-2147483648], [], 'int64'),
    bool: constant([1, 0], [2, 1], 'bool'),
    none: constant([], [0, 3]),
    inverse: divide(1, constant([0, -0], [2])),
  }),
  iota: () => ({
    fixed: iota(5),
    symbolic: add(iota(sequence), rows),
    product: add(reshape(iota(tokens, 'int64'), [batch, sequence]), longs),
  }),
  dimension: () => ({
    float: multiply(dimension(tokens), hidden),
    int: add(dimension(batch, 'int32'), integers),
    long: add(dimension(sequence, 'int64'), longs),
  }),
  negate: () => ({ y: negate(hidden) }),
  exp: () => ({ y: exp(multiply(hidden, 5)) }),
  log: () => ({ y: log(positive()) }),
  sqrt: () => ({ y: sqrt(positive()) }),
  reciprocal: () => ({ y: reciprocal(positive()) }),
  erf: () => ({ y: erf(multiply(hidden, 3)) }),
  tanh: () => ({ y: tanh(multiply(hidden, 3)) }),
  sigmoid: () => ({ y: sigmoid(multiply(hidden, 20)) }),
  relu: () => ({ y: relu(hidden) }),
  gelu: () => ({ y: gelu(multiply(hidden, 4)) }),
  add: () => ({ same: add(hidden, other), row: add(hidden, vector), wraps: add(integers, 1) }),
  subtract: () => ({ same: subtract(hidden, other), left: subtract(1, hidden), wraps: subtract(integers, 5) }),
  multiply: () => ({
    same: multiply(hidden, other),
    wraps: multiply(integers, 1664525),
    long: multiply(longs, -3),
  }),
  divide: () => ({ same: divide(hidden, positive()), truncates: divide(integers, 3), long: divide(longs, -2) }),
  less: () => ({ float: less(hidden, vector), int: less(integers, 3), long: less(2, longs) }),
  equal: () => ({ float: equal(hidden, hidden), int: equal(rows, 1), long: equal(longs, 2) }),
  where: () => ({
    float: where(reshape(mask, [batch, sequence, 1]), hidden, vector),
    scalar: where(less(hidden, 0), 0, hidden),
    int: where(mask, rows, -1),
    long: where(mask, longs, -1),
  }),
  cast: () => ({
    fromBool: cast(mask, 'float32'),
    fromInt: cast(rows, 'float32'),
    truncates: cast(multiply(hidden, 9), 'int32'),
    widens: cast(integers, 'int64'),
    narrows: cast(longs, 'int32'),
    toBool: cast(rows, 'bool'),
  }),
  matmul: () => ({
    batched: matmul(hidden, transpose(other, [0, 2, 1])),
    broadcast: matmul(hidden, square),
    heads: matmul(
      transpose(reshape(hidden, [batch, sequence, 2, 3]), [0, 2, 1, 3]),
      transpose(reshape(other, [batch, sequence, 2, 3]), [0, 2, 3, 1]),
    ),
  }),
  gemm: everyGemm,
  reshape: () => ({
    flat: reshape(hidden, [tokens, 6]),
    split: reshape(hidden, [batch, sequence, 2, 3]),
    merged: reshape(matrix, [batch, sequence, 3, 2]),
    turned: reshape(hidden, [sequence, batch, 6]),
    all: reshape(hidden, [multiplyDims(tokens, 6)]),
    front: reshape(hidden, [1, batch, 1, sequence, 6]),
    bool: reshape(mask, [tokens]),
    none: reshape(slice(hidden, 1, 1, 1), [batch, 0, 2, 3]),
  }),
  transpose: () => ({ y: transpose(hidden, [2, 0, 1]), bool: transpose(mask, [1, 0]) }),
  broadcast: () => ({
    rows: broadcast(vector, [batch, sequence, 6]),
    middle: broadcast(reduceSum(hidden, [1], { keepAxes: true }), [batch, sequence, 6]),
    bool: broadcast(reshape(mask, [batch, 1, sequence]), [batch, sequence, sequence]),
    spared: multiply(broadcast(vector, [batch, sequence, 6]), hidden),
    needed: multiply(broadcast(vector, [batch, sequence, 6]), broadcast(shift, [batch, sequence, 6])),
  }),
  slice: () => ({
    fixed: slice(hidden, 2, 1, 4),
    symbolic: slice(reshape(hidden, [tokens, 6]), 0, batch, tokens),
    empty: slice(hidden, 1, 0, 0),
    int: slice(rows, 1, 0, 1),
  }),
  concat: () => ({
    last: concat([hidden, other, hidden], 2),
    middle: concat([hidden, other], 1),
    int: concat([rows, rows], 0),
  }),
  pad: () => ({
    fixed: pad(hidden, 1, 2, 1),
    symbolic: pad(hidden, 2, 0, sequence),
    first: pad(rows, 0, batch, 0),
  }),
  reduceSum: () => ({
    last: reduceSum(hidden, [-1]),
    kept: reduceSum(hidden, [0, 1], { keepAxes: true }),
    middle: reduceSum(hidden, [1]),
    all: reduceSum(hidden, [0, 1, 2]),
    int: reduceSum(rows, [1]),
    mean: reduceMean(hidden, [0, 1]),
  }),
  reduceMax: () => ({ last: reduceMax(hidden, [-1]), all: reduceMax(hidden, [0, 1, 2], { keepAxes: true }) }),
  softmax: () => ({
    y: softmax(multiply(hidden, 30)),
    masked: softmax(where(reshape(mask, [batch, sequence, 1]), hidden, -1e30)),
  }),
  layerNorm: () => ({ y: norm() }),
  layerNormStatistic: () => {
    const shared = norm();
    return {
      y: shared,
      mean: layerNormStatistic(shared, 'mean'),
      inverseDeviation: layerNormStatistic(shared, 'inverseDeviation'),
      again: layerNormStatistic(norm(), 'mean'),
      alone: layerNormStatistic(layerNorm(other, vector, shift, 1e-5), 'inverseDeviation'),
    };
  },
  gather: () => ({ float: gather(table, rows), long: gather(table, longs), flat: gather(vector, rows) }),
  scatterAdd: () => ({
    rows: scatterAdd(hidden, rows, 5),
    long: scatterAdd(hidden, longs, 5),
    flat: scatterAdd(reshape(hidden, [tokens, 6]), reshape(rows, [tokens]), 7),
    scalars: scatterAdd(reduceSum(hidden, [-1]), rows, 5),
    symbolic: scatterAdd(hidden, longs, multiplyDims(batch, 2)),
  }),
  takeRows: () => ({ y: takeRows(hidden, positions), long: takeRows(hidden, longPositions) }),
  putRows: () => {
    const updates = takeRows(other, positions);
    return {
      y: putRows(updates, positions, sequence),
      long: putRows(takeRows(other, longPositions), longPositions, sequence),
    };
  },
};

describe('every operation agrees with the interpreter on every backend', () => {
  test.each(Object.entries(cases))('%s', async (kind, build) => {
    const outputs = build();
    expect(Object.keys(outputs), kind).not.toHaveLength(0);
    await expectAgreement(outputs, feeds, { frozen });
  });

  test('rows added to a tensor, repeated places and all', async () => {
    const put = (): Value => putRows(takeRows(other, positions), positions, sequence);
    const onto = (): Value => putRows(takeRows(hidden, longPositions), longPositions, sequence);
    await expectAgreement({ sum: add(hidden, put()), turned: add(put(), other) }, feeds);
    await expectAgreement({ both: add(put(), onto()), twice: ((p) => add(p, p))(put()) }, feeds);
  });

  test('integers beyond 32 bits, which TensorFlow.js refuses', async () => {
    const [wide, fed] = [constant([9007199254740991], [], 'int64'), input('fed', 'int64', [])];
    const feed = { fed: tensor('int64', [], [2 ** 40]) };
    await expectAgreement({ wide, sum: add(fed, 1) }, feed, {}, 1e-15, [onnxBackend]);
    await expect(tfjsBackend.compile({ wide }, new Map(), cpu)).rejects.toThrow('int64[] holds 9007199254740991');
    const executable = await tfjsBackend.compile({ sum: add(fed, 1) }, new Map(), cpu);
    await expect(executable.run(feed)).rejects.toThrow('int64[] (fed) holds 1099511627776');
    await executable.dispose();
  });
});
