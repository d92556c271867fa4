import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import { UserError } from '../../../src/base/errors.ts';
import { differentiate } from '../../../src/engine/graph/differentiate.ts';
import { knownEncoders } from '../../../src/engine/encoders/known-sizes.ts';
import { input, multiply, parameter, reduceSum, weight } from '../../../src/engine/graph/operations.ts';
import type { ParameterScope } from '../../../src/engine/graph/parameters.ts';
import type { Value } from '../../../src/engine/graph/value.ts';
import { drawFixed, isDrawnFixed } from '../../../src/engine/initialise.ts';
import { buildModel, countParameters } from '../../../src/engine/model-graph.ts';
import { fastfood, transformSize } from '../../../src/peft/fastfood.ts';
import { interpret, type Feed } from '../../support/interpreter.ts';

/** A map with its fixed numbers as a seed draws them. */
function makeMap(
  from: number,
  to: number,
  seed = 1,
): { readonly x: Value; readonly y: Value; readonly weights: Record<string, Feed> } {
  const weights: Record<string, Feed> = {};
  const scope: ParameterScope = {
    trained: (name) => {
      throw new Error(`${name} is not expected`);
    },
    fixed: (name, shape, initialiser) => {
      if (!isDrawnFixed(initialiser)) throw new Error(`${name} can't be drawn`);
      weights[name] = { shape, data: drawFixed(initialiser, name, shape, seed) };
      return weight(name, shape, initialiser.kind === 'permutation' ? 'int32' : 'float32');
    },
    dropout: (x) => x,
  };
  const x = parameter('x', [from]);
  return { x, y: fastfood(x, from, to, 'map', scope), weights };
}

function normals(count: number, name: string): Float64Array {
  const random = randomStream(9, name);
  return Float64Array.from({ length: count }, () => random.normal());
}

/** The unnormalised transform by butterflies: (a, b) becomes (a + b, a - b) at every distance. */
function walshHadamard(x: Float64Array): Float64Array {
  const y = x.slice();
  for (let distance = 1; distance < y.length; distance *= 2) {
    for (let i = 0; i < y.length; i++) {
      if (i & distance) continue;
      const [a, b] = [y[i] ?? NaN, y[i + distance] ?? NaN];
      [y[i], y[i + distance]] = [a + b, a - b];
    }
  }
  return y;
}

/** H G Π H B x, cut, over √(LL ΣG²) √(D / LL), step by step. */
function byDefinition(x: Float64Array, to: number, weights: Readonly<Record<string, Feed>>): Float64Array {
  const of = (name: string): ArrayLike<number> => weights[`map.${name}`]?.data ?? [];
  const [signs, order, gaussian] = [of('signs'), of('permutation'), of('gaussian')];
  const size = gaussian.length;
  const padded = new Float64Array(size);
  x.forEach((value, i) => (padded[i] = value * (signs[i] ?? NaN)));
  const first = walshHadamard(padded);
  const scaled = Float64Array.from({ length: size }, (_, i) => (first[order[i] ?? -1] ?? NaN) * (gaussian[i] ?? NaN));
  let squares = 0;
  for (let i = 0; i < size; i++) squares += (gaussian[i] ?? NaN) ** 2;
  const divisor = Math.sqrt(size * squares) * Math.sqrt(to / size);
  return walshHadamard(scaled)
    .slice(0, to)
    .map((value) => value / divisor);
}

const someSizes = fc.tuple(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 300 }));

describe('the Fastfood map', () => {
  it('is that of its definition', () => {
    fc.assert(
      fc.property(someSizes, ([from, to]) => {
        const { y, weights } = makeMap(from, to);
        const x = normals(from, 'x');
        const got = interpret({ y }, { x: { shape: [from], data: x } }, weights).y.data;
        const want = byDefinition(x, to, weights);
        expect(got.length).toBe(to);
        got.forEach((value, i) => {
          expect(value).toBeCloseTo(want[i] ?? NaN, 9);
        });
      }),
      { seed: 4, numRuns: 60 },
    );
  });

  it('is that of its definition where the transform takes several small products', () => {
    const [from, to] = [700, 5000];
    const { y, weights } = makeMap(from, to);
    const x = normals(from, 'x');
    const got = interpret({ y }, { x: { shape: [from], data: x } }, weights).y.data;
    const want = byDefinition(x, to, weights);
    expect(Math.max(...got.map((value, i) => Math.abs(value - (want[i] ?? NaN))))).toBeLessThan(1e-9);
  });

  it('has its exact adjoint as gradient', () => {
    fc.assert(
      fc.property(someSizes, ([from, to]) => {
        const { x: leaf, y, weights } = makeMap(from, to);
        const [x, direction] = [normals(from, 'x'), normals(to, 'w')];
        const [gradient] = differentiate(reduceSum(multiply(y, input('w', 'float32', [to])), [0]), [leaf]);
        if (gradient === undefined) throw new Error('no gradient');
        const feeds = { x: { shape: [from], data: x }, w: { shape: [to], data: direction } };
        const results = interpret({ y, gradient }, feeds, weights);
        const inner = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
          Array.from(a).reduce((sum, value, i) => sum + value * (b[i] ?? NaN), 0);
        expect(inner(results.gradient.data, x)).toBeCloseTo(inner(results.y.data, direction), 8);
      }),
      { seed: 5, numRuns: 40 },
    );
  });

  it('keeps lengths in the mean', () => {
    const [from, to] = [50, 400];
    const x = normals(from, 'x');
    const square = (values: ArrayLike<number>): number =>
      Array.from(values).reduce((sum, value) => sum + value * value, 0);
    const ratios = Array.from({ length: 40 }, (_, seed) => {
      const { y, weights } = makeMap(from, to, seed);
      return square(interpret({ y }, { x: { shape: [from], data: x } }, weights).y.data) / square(x);
    });
    expect(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length).toBeCloseTo(1, 1);
  });

  it('holds all of the vector where the tensor is smaller than it', () => {
    expect(transformSize(20_000, 768)).toBe(32_768);
    expect(transformSize(100, 128)).toBe(128);
    expect(transformSize(1, 1)).toBe(1);
  });

  it('depends on the seed alone', () => {
    expect(makeMap(8, 20, 3).weights).toEqual(makeMap(8, 20, 3).weights);
    expect(makeMap(8, 20, 3).weights).not.toEqual(makeMap(8, 20, 4).weights);
    const order = makeMap(8, 200).weights['map.permutation']?.data ?? [];
    expect(Array.from(order).sort((a, b) => a - b)).toEqual(Array.from({ length: 256 }, (_, i) => i));
    expect(new Set(Array.from(makeMap(64, 20).weights['map.signs']?.data ?? []))).toEqual(new Set([-1, 1]));
  });
});

describe('intrinsic-said', () => {
  const build = (
    options: Readonly<Record<string, unknown>>,
    model = 'bert-base-uncased',
  ): ReturnType<typeof buildModel> => {
    const encoder = knownEncoders[model];
    if (encoder === undefined) throw new Error(`${model} is not known`);
    return buildModel(
      {
        encoder,
        hasPooler: true,
        method: { id: 'intrinsic-said', options },
        objective: { kind: 'classification', labels: 2 },
      },
      { dropout: 'off' },
    );
  };

  it("trains d' numbers, the scales among them", () => {
    for (const options of [
      {},
      { targets: ['output', 'wordEmbeddings', 'embeddingNorm'], biases: true, dimension: 1400 },
    ]) {
      const { trained } = build(options);
      expect(countParameters(trained).method).toBe(options.dimension ?? 20_000);
    }
    expect(
      build({})
        .trained.map(({ name, shape }) => [name, shape])
        .slice(0, 2),
    ).toEqual([
      ['method.theta', [20_000 - 24]],
      ['method.lambda', [24]],
    ]);
    expect(build({ structureAware: false }).trained[0]?.shape).toEqual([20_000]);
  });

  it('says what is too small and what is too large', () => {
    expect(() => build({ dimension: 24 })).toThrow(UserError);
    expect(() => build({ dimension: 25 })).not.toThrow();
    expect(() => build({ targets: ['intermediate', 'output'] }, 'bert-large-uncased')).toThrow(UserError);
  });
});
