import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {
  addDims,
  evaluateDim,
  evaluateShape,
  type Bindings,
  type Dim,
  type Shape,
} from '../../../../src/engine/graph/dims.ts';
import {
  add,
  broadcast,
  broadcastShapes,
  concat,
  divide,
  erf,
  exp,
  gather,
  gelu,
  gemm,
  layerNorm,
  log,
  matmul,
  multiply,
  negate,
  pad,
  putRows,
  reciprocal,
  reduceMax,
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
  where,
} from '../../../../src/engine/graph/operations.ts';
import type { DType, OperationKind, Value } from '../../../../src/engine/graph/value.ts';
import { narrower, reshapingOf, shapesThatBroadcast, someDim, someShape, type Law } from './support.ts';

/** One function of some tensors, written twice: in the graph and in tfjs. */
export interface Trial {
  /** What the function is differentiated by. */
  readonly operands: readonly { readonly shape: Shape; readonly law: Law }[];
  /** Conditions and indices; `below` bounds indices. */
  readonly fixed: readonly { readonly shape: Shape; readonly dtype: DType; readonly below: Dim }[];
  readonly build: (operands: readonly Value[], fixed: readonly Value[]) => Value;
  readonly tfjs: (operands: readonly tf.Tensor[], fixed: readonly tf.Tensor[], sizes: Bindings) => tf.Tensor;
}

/** Why a kind has no gradient to check. */
export type Untried = 'leaf' | 'no gradient' | 'refuses';

function one<T>(list: readonly T[], index = 0): T {
  const found = list[index];
  if (found === undefined) throw new Error(`nothing at ${index}`);
  return found;
}

/** tfjs-core does not sum a gradient over broadcast axes in every rule; it does in addition. */
function expand(x: tf.Tensor, shape: readonly number[]): tf.Tensor {
  return tf.add(x, tf.zeros([...shape]));
}

function commonShape(tensors: readonly { readonly shape: Shape }[]): number[] {
  return tensors.reduce<Shape>((shape, { shape: other }) => broadcastShapes(shape, other) ?? [NaN], []) as number[];
}

function unary(
  apply: (x: Value) => Value,
  tfjs: (x: tf.Tensor) => tf.Tensor,
  law: Law = 'normal',
): fc.Arbitrary<Trial> {
  return someShape().map((shape) => ({
    operands: [{ shape, law }],
    fixed: [],
    build: (operands) => apply(one(operands)),
    tfjs: (operands) => tfjs(one(operands)),
  }));
}

function binary(
  apply: (a: Value, b: Value) => Value,
  tfjs: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
  second: Law = 'normal',
): fc.Arbitrary<Trial> {
  return shapesThatBroadcast(2).map(([a = [], b = []]) => ({
    operands: [
      { shape: a, law: 'normal' },
      { shape: b, law: second },
    ],
    fixed: [],
    build: (operands) => apply(one(operands), one(operands, 1)),
    tfjs: (operands) => tfjs(one(operands), one(operands, 1)),
  }));
}

const whereTrial: fc.Arbitrary<Trial> = shapesThatBroadcast(3).map(([condition = [], a = [], b = []]) => ({
  operands: [
    { shape: a, law: 'normal' },
    { shape: b, law: 'normal' },
  ],
  fixed: [{ shape: condition, dtype: 'bool', below: 2 }],
  build: (operands, fixed) => where(one(fixed), one(operands), one(operands, 1)),
  tfjs: (operands, fixed) => {
    const shape = commonShape([...operands, ...fixed]);
    const [condition, yes, no] = [one(fixed), one(operands), one(operands, 1)].map((x) => expand(x, shape));
    return tf.where(tf.cast(condition ?? 0, 'bool'), yes ?? 0, no ?? 0);
  },
}));

const matmulTrial: fc.Arbitrary<Trial> = fc
  .tuple(shapesThatBroadcast(2, 0, 2), someDim, someDim, someDim)
  .map(([[leadingA = [], leadingB = []], m, k, n]) => ({
    operands: [
      { shape: [...leadingA, m, k], law: 'normal' },
      { shape: [...leadingB, k, n], law: 'normal' },
    ],
    fixed: [],
    build: (operands) => matmul(one(operands), one(operands, 1)),
    tfjs: (operands) => {
      const [a, b] = [one(operands), one(operands, 1)];
      const leading = commonShape([{ shape: a.shape.slice(0, -2) }, { shape: b.shape.slice(0, -2) }]);
      return tf.matMul(expand(a, [...leading, ...a.shape.slice(-2)]), expand(b, [...leading, ...b.shape.slice(-2)]));
    },
  }));

const gemmTrial: fc.Arbitrary<Trial> = fc
  .record({
    m: someDim,
    k: someDim,
    n: someDim,
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    scale: fc.constantFrom(1, -0.5, 3),
  })
  .chain((drawn) =>
    fc.option(narrower([drawn.m, drawn.n])).map((bias) => {
      const { m, k, n, transposeA, transposeB, scale } = drawn;
      const operands: Trial['operands'] = [
        { shape: transposeA ? [k, m] : [m, k], law: 'normal' },
        { shape: transposeB ? [n, k] : [k, n], law: 'normal' },
        ...(bias === null ? [] : [{ shape: bias, law: 'normal' as const }]),
      ];
      return {
        operands,
        fixed: [],
        build: ([a, b, c]) => {
          if (a === undefined || b === undefined) throw new Error('two factors');
          return gemm(a, b, { transposeA, transposeB, scale, bias: c });
        },
        tfjs: ([a, b, c]) => {
          const product = tf.mul(tf.matMul(a ?? 0, b ?? 0, transposeA, transposeB), scale);
          return c === undefined ? product : tf.add(product, c);
        },
      } satisfies Trial;
    }),
  );

const reshapeTrial: fc.Arbitrary<Trial> = someShape(1, 4).chain((from) =>
  reshapingOf(from).map((to) => ({
    operands: [{ shape: from, law: 'normal' }],
    fixed: [],
    build: (operands) => reshape(one(operands), to),
    tfjs: (operands, _, sizes) => tf.reshape(one(operands), evaluateShape(to, sizes)),
  })),
);

const transposeTrial: fc.Arbitrary<Trial> = someShape(2, 4).chain((shape) => {
  const axes = shape.map((_, axis) => axis);
  return fc.shuffledSubarray(axes, { minLength: axes.length }).map((permutation) => ({
    operands: [{ shape, law: 'normal' }],
    fixed: [],
    build: (operands) => transpose(one(operands), permutation),
    tfjs: (operands) => tf.transpose(one(operands), permutation),
  }));
});

const broadcastTrial: fc.Arbitrary<Trial> = someShape(1).chain((shape) =>
  narrower(shape).map((from) => ({
    operands: [{ shape: from, law: 'normal' }],
    fixed: [],
    build: (operands) => broadcast(one(operands), shape),
    tfjs: (operands, _, sizes) => expand(one(operands), evaluateShape(shape, sizes)),
  })),
);

const sliceTrial: fc.Arbitrary<Trial> = fc
  .record({ before: fc.option(someDim, { nil: 0 }), length: someDim, after: fc.option(someDim, { nil: 0 }) })
  .chain(({ before, length, after }) =>
    fc.tuple(someShape(0, 2), fc.nat(2), fc.boolean()).map(([beside, place, fromEnd]) => {
      const axis = Math.min(place, beside.length);
      const end = addDims(before, length);
      return {
        operands: [{ shape: beside.toSpliced(axis, 0, addDims(end, after)), law: 'normal' }],
        fixed: [],
        build: (operands) => slice(one(operands), fromEnd ? axis - beside.length - 1 : axis, before, end),
        tfjs: (operands, _, sizes) => {
          const x = one(operands);
          const start = x.shape.map((_size, i) => (i === axis ? evaluateDim(before, sizes) : 0));
          const size = x.shape.map((whole, i) => (i === axis ? evaluateDim(length, sizes) : whole));
          return tf.slice(x, start, size);
        },
      } satisfies Trial;
    }),
  );

const concatTrial: fc.Arbitrary<Trial> = fc
  .tuple(someShape(0, 2), fc.nat(2), fc.array(someDim, { minLength: 2, maxLength: 3 }), fc.boolean())
  .map(([beside, place, lengths, again]) => {
    const axis = Math.min(place, beside.length);
    return {
      operands: lengths.map((length) => ({ shape: beside.toSpliced(axis, 0, length), law: 'normal' })),
      fixed: [],
      build: (operands) => concat(again ? [...operands, one(operands)] : operands, axis),
      tfjs: (operands) => tf.concat(again ? [...operands, one(operands)] : [...operands], axis),
    } satisfies Trial;
  });

const padTrial: fc.Arbitrary<Trial> = fc
  .record({ before: fc.option(someDim, { nil: 0 }), after: fc.option(someDim, { nil: 0 }) })
  .chain(({ before, after }) =>
    fc.tuple(someShape(1), fc.nat(2)).map(([shape, place]) => {
      const axis = Math.min(place, shape.length - 1);
      return {
        operands: [{ shape, law: 'normal' }],
        fixed: [],
        build: (operands) => pad(one(operands), axis, before, after),
        tfjs: (operands, _, sizes) => {
          const along: [number, number] = [evaluateDim(before, sizes), evaluateDim(after, sizes)];
          return tf.pad(
            one(operands),
            shape.map((_dim, i): [number, number] => (i === axis ? along : [0, 0])),
          );
        },
      } satisfies Trial;
    }),
  );

function reduction(
  apply: typeof reduceSum,
  tfjs: (x: tf.Tensor, axes: number[], keepAxes: boolean) => tf.Tensor,
  law: Law,
): fc.Arbitrary<Trial> {
  return someShape(1).chain((shape) =>
    fc
      .tuple(
        fc.subarray(
          shape.map((_, axis) => axis),
          { minLength: 1 },
        ),
        fc.boolean(),
      )
      .map(([axes, keepAxes]) => ({
        operands: [{ shape, law }],
        fixed: [],
        build: (operands) => apply(one(operands), axes, { keepAxes }),
        tfjs: (operands) => tfjs(one(operands), axes, keepAxes),
      })),
  );
}

const layerNormTrial: fc.Arbitrary<Trial> = fc.tuple(someShape(0, 2), someDim).map(([leading, width]) => ({
  operands: [
    { shape: [...leading, width], law: 'normal' },
    { shape: [width], law: 'normal' },
    { shape: [width], law: 'normal' },
  ],
  fixed: [],
  build: (operands) => layerNorm(one(operands), one(operands, 1), one(operands, 2), 0.125),
  tfjs: (operands) => {
    const { mean, variance } = tf.moments(one(operands), -1, true);
    const normal = tf.mul(tf.sub(one(operands), mean), tf.rsqrt(tf.add(variance, 0.125)));
    return tf.add(tf.mul(normal, one(operands, 1)), one(operands, 2));
  },
}));

const someIndices = fc.constantFrom<DType>('int32', 'int64');

const gatherTrial: fc.Arbitrary<Trial> = fc
  .tuple(someDim, someShape(0, 2), someShape(0, 2), someIndices)
  .map(([rows, rest, shape, dtype]) => ({
    operands: [{ shape: [rows, ...rest], law: 'normal' }],
    fixed: [{ shape, dtype, below: rows }],
    build: (operands, fixed) => gather(one(operands), one(fixed)),
    tfjs: (operands, fixed) => tf.gather(one(operands), one(fixed)),
  }));

/** `[rows, n]`: a one in column i at row indices[i]. */
function hits(indices: tf.Tensor, rows: number): tf.Tensor {
  const flat = tf.reshape(indices, [1, -1]);
  return tf.cast(tf.equal(flat, tf.reshape(tf.range(0, rows, 1, 'int32'), [rows, 1])), 'float32');
}

const scatterAddTrial: fc.Arbitrary<Trial> = fc
  .tuple(someDim, someShape(0, 2), someShape(0, 2), someIndices)
  .map(([rows, rest, shape, dtype]) => ({
    operands: [{ shape: [...shape, ...rest], law: 'normal' }],
    fixed: [{ shape, dtype, below: rows }],
    build: (operands, fixed) => scatterAdd(one(operands), one(fixed), rows),
    tfjs: (operands, fixed, sizes) => {
      const updates = tf.reshape(one(operands), [one(fixed).size, -1]);
      const table = tf.matMul(hits(one(fixed), evaluateDim(rows, sizes)), updates);
      return tf.reshape(table, evaluateShape([rows, ...rest], sizes));
    },
  }));

/** One matrix `[sequence, count]` of ones and zeros an example. */
function positionHits(positions: tf.Tensor, length: number): tf.Tensor {
  const [examples = NaN, count = NaN] = positions.shape;
  const numbers = tf.reshape(tf.range(0, length, 1, 'int32'), [1, length, 1]);
  return tf.cast(tf.equal(tf.reshape(positions, [examples, 1, count]), numbers), 'float32');
}

const rowsOfExamples = fc.tuple(someDim, someDim, someDim, someDim, someIndices);

const takeRowsTrial: fc.Arbitrary<Trial> = rowsOfExamples.map(([examples, length, width, count, dtype]) => ({
  operands: [{ shape: [examples, length, width], law: 'normal' }],
  fixed: [{ shape: [examples, count], dtype, below: length }],
  build: (operands, fixed) => takeRows(one(operands), one(fixed)),
  tfjs: (operands, fixed, sizes) =>
    tf.matMul(positionHits(one(fixed), evaluateDim(length, sizes)), one(operands), true),
}));

const putRowsTrial: fc.Arbitrary<Trial> = rowsOfExamples.map(([examples, length, width, count, dtype]) => ({
  operands: [{ shape: [examples, count, width], law: 'normal' }],
  fixed: [{ shape: [examples, count], dtype, below: length }],
  build: (operands, fixed) => putRows(one(operands), one(fixed), length),
  tfjs: (operands, fixed, sizes) => tf.matMul(positionHits(one(fixed), evaluateDim(length, sizes)), one(operands)),
}));

const geluOfTfjs = (x: tf.Tensor): tf.Tensor => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));

/** How to try the gradient of every kind of operation; the compiler asks for a line for each kind. */
export const trials: Readonly<Record<OperationKind, fc.Arbitrary<Trial> | Untried>> = {
  input: 'leaf',
  parameter: 'leaf',
  weight: 'leaf',
  constant: 'leaf',
  iota: 'leaf',
  dimension: 'leaf',
  negate: unary(negate, tf.neg),
  exp: unary(exp, tf.exp),
  log: unary(log, tf.log, 'positive'),
  sqrt: unary(sqrt, tf.sqrt, 'positive'),
  reciprocal: unary(reciprocal, tf.reciprocal, 'awayFromZero'),
  erf: unary(erf, tf.erf),
  tanh: unary(tanh, tf.tanh),
  sigmoid: unary(sigmoid, tf.sigmoid),
  relu: unary(relu, tf.relu, 'awayFromZero'),
  gelu: unary(gelu, geluOfTfjs),
  add: binary(add, tf.add),
  subtract: binary(subtract, tf.sub),
  multiply: binary(multiply, tf.mul),
  divide: binary(divide, tf.div, 'awayFromZero'),
  less: 'no gradient',
  equal: 'no gradient',
  where: whereTrial,
  cast: 'no gradient',
  matmul: matmulTrial,
  gemm: gemmTrial,
  reshape: reshapeTrial,
  transpose: transposeTrial,
  broadcast: broadcastTrial,
  slice: sliceTrial,
  concat: concatTrial,
  pad: padTrial,
  reduceSum: reduction(reduceSum, tf.sum, 'normal'),
  reduceMax: reduction(reduceMax, tf.max, 'distinct'),
  softmax: someShape(1).map((shape) => ({
    operands: [{ shape, law: 'normal' }],
    fixed: [],
    build: (operands) => softmax(one(operands)),
    tfjs: (operands) => tf.softmax(one(operands)),
  })),
  layerNorm: layerNormTrial,
  layerNormStatistic: 'refuses',
  gather: gatherTrial,
  scatterAdd: scatterAddTrial,
  takeRows: takeRowsTrial,
  putRows: putRowsTrial,
};
