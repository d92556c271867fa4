import fc from 'fast-check';
import { expect } from 'vitest';
import { randomStream, type RandomStream } from '../../../../src/base/random.ts';
import { multiplyDims, symbol, type Bindings, type Dim, type Shape } from '../../../../src/engine/graph/dims.ts';
import { inputAt } from '../../../../src/engine/graph/operations.ts';
import { topologicalOrder, type OperationKind, type Value } from '../../../../src/engine/graph/value.ts';
import { interpret, type Feed } from '../../../support/interpreter.ts';

export const batch = symbol('batch');
export const sequence = symbol('sequence');

/** Checks a law on drawn cases, the same ones at every run. */
export function law<T>(cases: fc.Arbitrary<T>, check: (drawn: T) => void, numRuns = 60): void {
  fc.assert(fc.property(cases, check), { seed: 20231, numRuns });
}

export const someSizes: fc.Arbitrary<Bindings> = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  sequence: fc.integer({ min: 1, max: 3 }),
});

export const someSeed = fc.integer({ min: 0, max: 1_000_000 });

export const someDim: fc.Arbitrary<Dim> = fc.constantFrom<Dim>(1, 2, 3, batch, sequence);

export function someShape(minimum = 0, maximum = 3): fc.Arbitrary<Shape> {
  return fc.array(someDim, { minLength: minimum, maxLength: maximum });
}

/** A shape that broadcasts to `shape`: leading axes dropped, others set to 1. */
export function narrower(shape: Shape): fc.Arbitrary<Shape> {
  return fc
    .tuple(
      fc.integer({ min: 0, max: shape.length }),
      fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
    )
    .map(([dropped, ones]) => shape.map((dim, axis) => (ones[axis] === true ? 1 : dim)).slice(dropped));
}

/** Shapes that broadcast together. */
export function shapesThatBroadcast(count: number, minimum = 0, maximum = 3): fc.Arbitrary<readonly Shape[]> {
  return someShape(minimum, maximum).chain((shape) =>
    fc.tuple(...Array.from({ length: count }, () => fc.oneof(fc.constant(shape), narrower(shape)))),
  );
}

/** The same number of elements, axes reordered and neighbours merged. */
export function reshapingOf(shape: Shape): fc.Arbitrary<Shape> {
  return fc
    .tuple(
      fc.shuffledSubarray([...shape], { minLength: shape.length, maxLength: shape.length }),
      fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
    )
    .map(([dims, merge]) => {
      const merged: Dim[] = [];
      dims.forEach((dim, i) => {
        const last = merged.at(-1);
        if (merge[i] === true && last !== undefined) merged[merged.length - 1] = multiplyDims(last, dim);
        else merged.push(dim);
      });
      return merged;
    });
}

/** How numbers are drawn; all but `normal` keep away from a kink or a pole. */
export type Law = 'normal' | 'positive' | 'awayFromZero' | 'distinct' | 'bit' | { readonly below: number };

export function drawNumbers(from: Law, count: number, random: RandomStream): Float64Array {
  const grid = Array.from({ length: count }, (_, i) => 0.05 + 0.1 * (i - Math.floor(count / 2)));
  if (from === 'distinct') grid.sort(() => random.uniform() - 0.5);
  return Float64Array.from({ length: count }, (_, i) => {
    if (typeof from === 'object') return random.below(from.below);
    switch (from) {
      case 'normal':
        return Math.fround(random.normal());
      case 'positive':
        return Math.fround(0.5 + 1.5 * random.uniform());
      case 'awayFromZero':
        return Math.fround((random.uniform() < 0.5 ? -1 : 1) * (0.5 + 1.5 * random.uniform()));
      case 'distinct':
        return Math.fround(grid[i] ?? NaN);
      case 'bit':
        return random.below(2);
    }
  });
}

export function drawFeed(shape: readonly number[], seed: number, from: Law = 'normal', name = ''): Feed {
  const count = shape.reduce((size, dim) => size * dim, 1);
  return { shape, data: drawNumbers(from, count, randomStream(seed, name)) };
}

const STEP = 1e-3;

/** ∂ (scalar) / ∂ (the feed called `name`), by central differences of fourth order. */
export function finiteDifferences(
  output: Value,
  name: string,
  feeds: Readonly<Record<string, Feed>>,
  weights: Readonly<Record<string, Feed>> = {},
  sizes: Bindings = {},
): Float64Array {
  const feed = feeds[name];
  if (feed === undefined) throw new Error(`${name} is not fed`);
  const at = (index: number, shift: number): number => {
    const data = Float64Array.from(feed.data);
    data[index] = (data[index] ?? NaN) + shift;
    const { y } = interpret({ y: output }, { ...feeds, [name]: { shape: feed.shape, data } }, weights, sizes);
    return y.data[0] ?? NaN;
  };
  return Float64Array.from({ length: feed.data.length }, (_, i) => {
    const near = at(i, STEP) - at(i, -STEP);
    const far = at(i, 2 * STEP) - at(i, -2 * STEP);
    return (8 * near - far) / (12 * STEP);
  });
}

/** Equal lengths and every element within `relative` of the greatest one. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  floor = 1e-3,
): void {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(floor, ...Array.from(expected, Math.abs));
  const far = Array.from(actual).findIndex((x, i) => !(Math.abs(x - (expected[i] ?? NaN)) <= relative * scale));
  if (far >= 0) {
    expect.fail(
      `element ${far} is ${String(actual[far])} where ${String(expected[far])} was expected, at scale ${String(scale)}`,
    );
  }
}

/** The kinds of the nodes that `outputs` depend on, leaving out those that `known` depends on. */
export function kindsOf(outputs: readonly Value[], known: readonly Value[] = []): readonly OperationKind[] {
  const leftOut = new Set(topologicalOrder(known).map((value) => value.id));
  return topologicalOrder(outputs).flatMap((value) => (leftOut.has(value.id) ? [] : [value.operation.kind]));
}

/** The names of the frozen tensors that new nodes of `outputs` read. */
export function weightsReadBy(outputs: readonly Value[], known: readonly Value[]): readonly string[] {
  const leftOut = new Set(topologicalOrder(known).map((value) => value.id));
  const fresh = topologicalOrder(outputs).filter((value) => !leftOut.has(value.id));
  const names = fresh.flatMap((value) =>
    value.inputs.flatMap((_, index) => {
      const { operation } = inputAt(value, index);
      return operation.kind === 'weight' ? [operation.name] : [];
    }),
  );
  return [...new Set(names)].sort();
}
