import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addDims, evaluateShape, sizeOf, symbol, type Shape } from '../../../../src/engine/graph/dims.ts';
import {
  add,
  broadcast,
  broadcastShapes,
  cast,
  concat,
  divide,
  gather,
  gelu,
  gemm,
  input,
  layerNorm,
  less,
  matmul,
  multiply,
  pad,
  parameter,
  reduceMax,
  reduceSum,
  reshape,
  scatterAdd,
  slice,
  softmax,
  subtract,
  swapLastAxes,
  tanh,
  transpose,
  where,
} from '../../../../src/engine/graph/operations.ts';
import { asRows } from '../../../../src/engine/graph/functions.ts';
import type { Value } from '../../../../src/engine/graph/value.ts';
import { expectAgreement, noise, size, tensor } from './agreement.ts';

const [batch, sequence] = [symbol('batch'), symbol('sequence')];
const WIDTH = 4;

/** One step in building a graph: which operation, on which earlier values, with which small choice. */
interface Step {
  readonly kind: number;
  readonly left: number;
  readonly right: number;
  readonly choice: number;
}

const x = input('x', 'float32', [batch, sequence, WIDTH]);
const y = input('y', 'float32', [batch, 1, WIDTH]);
const ids = input('ids', 'int32', [batch, sequence]);
const [square, vector, shift] = [
  parameter('square', [WIDTH, WIDTH]),
  parameter('vector', [WIDTH]),
  parameter('shift', [WIDTH]),
];

/** Keeps values small whatever is built, so that float32 and float64 agree; nothing that is built jumps, for the same reason. */
const tame = (value: Value): Value => tanh(value);

/** What a step makes of two values, or undefined where it does not apply to their shapes. */
const makers: readonly ((a: Value, b: Value, choice: number) => Value | undefined)[] = [
  (a, b) => (broadcastShapes(a.shape, b.shape) === undefined ? undefined : add(a, b)),
  (a, b) => (broadcastShapes(a.shape, b.shape) === undefined ? undefined : tame(multiply(subtract(a, 0.5), b))),
  (a, b) => (broadcastShapes(a.shape, b.shape) === undefined ? undefined : divide(a, add(multiply(b, b), 1))),
  (a, b) => (broadcastShapes(a.shape, b.shape) === undefined ? undefined : where(less(a, b), a, b)),
  (a) => gelu(a),
  (a) => (a.shape.length > 0 ? softmax(a) : undefined),
  (a) => (a.shape.at(-1) === WIDTH ? layerNorm(a, vector, shift, 0.1) : undefined),
  (a) =>
    a.shape.length > 1 && a.shape.at(-1) === WIDTH
      ? gemm(asRows(a), square, { transposeB: true, bias: vector })
      : undefined,
  (a, b) => {
    const [left, right] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
    const fits = a.shape.length > 1 && b.shape.length > 1 && a.shape.at(-1) === b.shape.at(-1);
    return fits && broadcastShapes(left, right) !== undefined ? tame(matmul(a, swapLastAxes(b))) : undefined;
  },
  (a, _, choice) =>
    a.shape.length > 0 ? tame(reduceSum(a, [choice % a.shape.length], { keepAxes: choice % 2 === 0 })) : undefined,
  (a, _, choice) => (a.shape.length > 0 ? reduceMax(a, [choice % a.shape.length]) : undefined),
  (a) => reshape(a, [sizeOf(a.shape)]),
  (a) => (a.shape.length > 1 ? asRows(a) : undefined),
  (a, _, choice) => {
    const axes = a.shape.map((__, axis) => axis);
    return a.shape.length > 1
      ? transpose(a, [...axes.slice(choice % axes.length), ...axes.slice(0, choice % axes.length)])
      : undefined;
  },
  (a, _, choice) => {
    const wider: Shape = choice % 2 === 0 ? [2, ...a.shape] : [sequence, ...a.shape];
    return a.shape.length < 4 ? broadcast(a, wider) : undefined;
  },
  (a, _, choice) => {
    const axis = choice % Math.max(1, a.shape.length);
    const dim = a.shape[axis];
    if (dim === undefined || dim === 1) return undefined;
    return slice(a, axis, 0, choice % 2 === 0 || typeof dim !== 'number' ? dim : dim - 1);
  },
  (a, b, choice) => {
    const axis = choice % Math.max(1, a.shape.length);
    const same =
      a.shape.length === b.shape.length &&
      a.shape.length > 0 &&
      a.shape.every((dim, i) => i === axis || dim === b.shape[i]);
    return same ? concat([a, b], axis) : undefined;
  },
  (a, _, choice) => {
    const axis = choice % Math.max(1, a.shape.length);
    return a.shape.length > 0
      ? slice(pad(a, axis, batch, choice), axis, choice % 2, addDims(batch, choice % 2))
      : undefined;
  },
  (a) => gather(reshape(a, [sizeOf(a.shape), 1]), multiply(ids, 0)),
  (a) => (a.shape[0] === 6 ? gather(a, ids) : undefined),
  (a) => (a.shape[0] === batch && a.shape[1] === sequence ? scatterAdd(a, ids, 6) : undefined),
];

function build(steps: readonly Step[]): Readonly<Record<string, Value>> {
  const values: Value[] = [x, y, square, vector, multiply(reshape(cast(ids, 'float32'), [batch, sequence, 1]), 0.2)];
  const pick = (at: number): Value => values[at % values.length] ?? x;
  for (const { kind, left, right, choice } of steps) {
    const made = makers[kind % makers.length]?.(pick(left), pick(right), choice);
    if (made !== undefined) values.push(made);
  }
  return Object.fromEntries(values.map((value, i) => [`v${i}`, value]));
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.nat(1000),
  left: fc.nat(20),
  right: fc.nat(20),
  choice: fc.nat(7),
});

test('random graphs agree with the interpreter at random sizes', async () => {
  let made = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 14 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 5 }),
      async (steps, batchSize, length) => {
        const outputs = build(steps);
        const bindings = { batch: batchSize, sequence: length };
        // What grew too large to be quick stays out.
        const chosen = Object.fromEntries(
          Object.entries(outputs).filter(([, value]) => size(evaluateShape(value.shape, bindings)) <= 5000),
        );
        made += Object.keys(chosen).length;
        const feed = (shape: readonly number[], seed: number): ReturnType<typeof tensor> =>
          tensor('float32', shape, noise(size(shape), seed));
        await expectAgreement(
          chosen,
          {
            x: feed([batchSize, length, WIDTH], 1),
            y: feed([batchSize, 1, WIDTH], 2),
            ids: tensor(
              'int32',
              [batchSize, length],
              noise(batchSize * length, 3).map((number) => Math.floor((number + 1) * 3)),
            ),
            square: feed([WIDTH, WIDTH], 4),
            vector: feed([WIDTH], 5),
            shift: feed([WIDTH], 6),
          },
          {},
          1e-4,
        );
      },
    ),
    { numRuns: 100, seed: 20 },
  );
  expect(made).toBeGreaterThan(800);
});
