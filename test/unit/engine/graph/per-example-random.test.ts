import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Dim } from '../../../../src/engine/graph/dims.ts';
import { linear } from '../../../../src/engine/graph/functions.ts';
import {
  add,
  broadcast,
  broadcastShapes,
  concat,
  gather,
  gemm,
  input,
  layerNorm,
  less,
  matmul,
  multiply,
  pad,
  parameter,
  putRows,
  reduceMax,
  reduceSum,
  reshape,
  scatterAdd,
  slice,
  softmax,
  subtract,
  swapLastAxes,
  takeRows,
  tanh,
  transpose,
  weight,
  where,
} from '../../../../src/engine/graph/operations.ts';
import { perExampleGradients } from '../../../../src/engine/graph/per-example.ts';
import { GraphError, parametersOf, type Value } from '../../../../src/engine/graph/value.ts';
import { checkPerExample, type Model } from './per-example-law.ts';
import { batch, reshapingOf, sequence, someSeed } from './support.ts';

/** A choice: numbers that each step reads in its own way. */
interface Choice {
  readonly step: string;
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly axis: number;
}

function chosen<T>(list: readonly T[], index: number): T {
  const found = list[index % list.length];
  if (found === undefined) throw new Error('an empty list');
  return found;
}

const indices = input('indices', 'int64', [batch, 2]);
const single = input('single', 'int64', [batch]);
const LENGTHS: readonly Dim[] = [1, 4, batch, sequence];

type Step = (x: Value, y: Value, z: Value, choice: Choice) => Value | undefined;

function permutationsOf(list: readonly number[]): number[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((first) => permutationsOf(list.filter((x) => x !== first)).map((rest) => [first, ...rest]));
}

/** Steps of every kind, most of them free to mix the examples of a batch. */
const steps: Readonly<Record<string, Step>> = {
  tanh: (x) => tanh(x),
  add: (x, y) => add(x, y),
  subtract: (x, y) => subtract(x, y),
  multiply: (x, y) => multiply(tanh(x), y),
  // A trained tensor that only a condition reads has no gradient at all.
  where: (x, y, z) => (parametersOf([x]).length > 0 ? undefined : where(less(x, 0.1), y, z)),
  matmul: (x, y) => matmul(tanh(x), y),
  matmulTransposed: (x, y) => matmul(x, swapLastAxes(y)),
  gemm: (x, y, _, { axis }) => gemm(x, y, { transposeA: axis % 2 === 1, transposeB: axis % 3 === 1, scale: 0.5 }),
  gemmBias: (x, y, z) => gemm(x, y, { bias: z }),
  linear: (x, y, z) => linear(x, y, z),
  swap: (x) => swapLastAxes(x),
  transpose: (x, _, __, { y, z }) => {
    const axes = x.shape.map((_dim, i) => i);
    return transpose(x, chosen(permutationsOf(axes), y + z));
  },
  reshape: (x, _, __, { y }) => reshape(x, chosen(fc.sample(reshapingOf(x.shape), { seed: y, numRuns: 1 }), 0)),
  withAxis: (x, _, __, { axis }) => reshape(x, x.shape.toSpliced(axis % (x.shape.length + 1), 0, 1)),
  broadcast: (x, y) => broadcast(x, broadcastShapes(x.shape, y.shape) ?? []),
  broadcastTo: (x, _, __, { axis }) => broadcast(x, [chosen(LENGTHS, axis), ...x.shape]),
  slice: (x, _, __, { axis }) => slice(x, axis % x.shape.length, 0, 1),
  pad: (x, _, __, { axis }) => pad(x, axis % x.shape.length, 1, 0),
  concat: (x, y, _, { axis }) => concat([x, y], axis % x.shape.length),
  reduceSum: (x, _, __, { axis, y }) => reduceSum(x, [axis % x.shape.length], { keepAxes: y % 2 === 0 }),
  reduceMax: (x, _, __, { axis, y }) => reduceMax(x, [axis % x.shape.length], { keepAxes: y % 2 === 0 }),
  softmax: (x) => softmax(x),
  layerNorm: (x, y, z) => layerNorm(x, y, z, 0.1),
  gather: (x, _, __, { axis }) => gather(x, axis % 2 === 0 ? indices : single),
  scatter: (x, _, __, { axis }) => scatterAdd(x, axis % 2 === 0 ? indices : single, 4),
  takeRows: (x) => takeRows(x, indices),
  putRows: (x) => putRows(x, indices, sequence),
};

const choice: fc.Arbitrary<Choice> = fc.record({
  step: fc.constantFrom(...Object.keys(steps)),
  x: fc.nat(1000),
  y: fc.nat(1000),
  z: fc.nat(1000),
  axis: fc.nat(3),
});

function buildModel(plan: readonly Choice[]): Model | undefined {
  const [x3, x2] = [input('x3', 'float32', [batch, sequence, 4]), input('x2', 'float32', [batch, 4])];
  const [matrix, vector] = [parameter('matrix', [4, 4]), parameter('vector', [4])];
  const values: Value[] = [
    input('x1', 'float32', [batch]),
    x2,
    x3,
    weight('w', [4, 4]),
    parameter('row', [1, 4]),
    vector,
    matrix,
    linear(x2, matrix),
    multiply(x3, vector),
  ];
  for (const next of plan) {
    // Later values are chosen more often, so that steps build upon each other; where shapes do not fit, others are tried.
    const pick = (n: number): Value => chosen(n % 3 === 0 ? values : values.slice(-4), n);
    for (let attempt = 0; attempt < 20; attempt++) {
      try {
        const made = steps[next.step]?.(
          pick(next.x + attempt),
          pick(next.y + 3 * attempt),
          pick(next.z + 5 * attempt),
          next,
        );
        if (made === undefined || made.shape.length > 4) continue;
        values.push(made);
        break;
      } catch (error) {
        if (!(error instanceof GraphError)) throw error;
      }
    }
  }
  const trained = values.filter((value) => value.shape[0] === batch && parametersOf([value]).length > 0).slice(-2);
  if (trained.length === 0) return undefined;
  const losses = trained
    .map((value) =>
      reduceSum(
        tanh(value),
        value.shape.slice(1).map((_, axis) => axis + 1),
      ),
    )
    .reduce((a, b) => add(a, b));
  return { losses, parameters: parametersOf([losses]), laws: { indices: { below: 1 }, single: { below: 1 } } };
}

describe('a random graph', () => {
  it('has the gradients of running each example alone, or is refused', () => {
    const counts = { right: 0, refused: 0 };
    const cases = fc.record({
      plan: fc.array(choice, { minLength: 1, maxLength: 10 }),
      sizes: fc.record({ batch: fc.integer({ min: 2, max: 3 }), sequence: fc.integer({ min: 1, max: 3 }) }),
      seed: someSeed,
    });
    fc.assert(
      fc.property(cases, ({ plan, sizes, seed }) => {
        const model = buildModel(plan);
        if (model === undefined) return;
        try {
          perExampleGradients(model.losses, model.parameters, batch);
        } catch (error) {
          if (!(error instanceof GraphError)) throw error;
          counts.refused += 1;
          return;
        }
        checkPerExample(model, sizes, seed);
        counts.right += 1;
      }),
      { seed: 4, numRuns: 1000 },
    );
    // Both ends are met often enough to mean something.
    expect(counts.right).toBeGreaterThan(500);
    expect(counts.refused).toBeGreaterThan(100);
  });
});
