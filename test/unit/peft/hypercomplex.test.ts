import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import { differentiate } from '../../../src/engine/graph/differentiate.ts';
import { input, multiply, parameter, reduceSum } from '../../../src/engine/graph/operations.ts';
import type { ParameterScope } from '../../../src/engine/graph/parameters.ts';
import type { Value } from '../../../src/engine/graph/value.ts';
import { lowRankMap, type AffineMap } from '../../../src/peft/affine.ts';
import {
  explicitProduct,
  factoredIsFaster,
  factoredProduct,
  hypercomplexMap,
  kroneckerSum,
} from '../../../src/peft/hypercomplex.ts';
import { interpret, type Feed } from '../../support/interpreter.ts';

function numbers(shape: readonly number[], name: string): Feed {
  const random = randomStream(5, name);
  return { shape, data: Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()) };
}

interface Sizes {
  readonly n: number;
  readonly u: number;
  readonly v: number;
  readonly r: number;
  readonly rows: number;
}

const someSizes = fc.record({
  n: fc.integer({ min: 1, max: 5 }),
  u: fc.integer({ min: 1, max: 4 }),
  v: fc.integer({ min: 1, max: 4 }),
  r: fc.integer({ min: 1, max: 3 }),
  rows: fc.integer({ min: 1, max: 4 }),
});

/** Σ_i A_i ⊗ (s_i t_i) by its definition: element (a u + p, c v + q) is Σ_i A_i[a, c] Σ_k s_i[p, k] t_i[k, q]. */
function kroneckerByDefinition({ n, u, v, r }: Sizes, rule: Feed, left: Feed, right: Feed): Float64Array {
  const at = ({ data }: Feed, index: number): number => data[index] ?? NaN;
  const sum = new Float64Array(n * u * n * v);
  for (let i = 0; i < n; i++)
    for (let a = 0; a < n; a++)
      for (let c = 0; c < n; c++)
        for (let p = 0; p < u; p++)
          for (let q = 0; q < v; q++)
            for (let k = 0; k < r; k++) {
              const place = (a * u + p) * n * v + c * v + q;
              sum[place] =
                (sum[place] ?? 0) +
                at(rule, (i * n + a) * n + c) * at(left, (i * u + p) * r + k) * at(right, (i * r + k) * v + q);
            }
  return sum;
}

function timesMatrix(x: Feed, matrix: Float64Array, rows: number, from: number, to: number): Float64Array {
  return Float64Array.from({ length: rows * to }, (_, index) => {
    const [row, column] = [Math.floor(index / to), index % to];
    let sum = 0;
    for (let k = 0; k < from; k++) sum += (x.data[row * from + k] ?? NaN) * (matrix[k * to + column] ?? NaN);
    return sum;
  });
}

function expectNear(got: ArrayLike<number>, want: ArrayLike<number>): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) expect(got[i]).toBeCloseTo(want[i] ?? NaN, 9);
}

function check(property: (sizes: Sizes) => void): void {
  fc.assert(fc.property(someSizes, property), { seed: 11, numRuns: 60 });
}

describe('hypercomplex products', () => {
  it('are the same factored, through the matrix, and by the definition of Kronecker products', () => {
    check((sizes) => {
      const { n, u, v, r, rows } = sizes;
      const feeds = {
        x: numbers([1, rows, n * u], 'x'),
        A: numbers([n, n, n], 'A'),
        s: numbers([n, u, r], 's'),
        t: numbers([n, r, v], 't'),
        b: numbers([n * v], 'b'),
      };
      const x = input('x', 'float32', [1, rows, n * u]);
      const leaf = (name: 'A' | 's' | 't' | 'b'): Value => parameter(name, feeds[name].shape);
      const [A, s, t, b] = [leaf('A'), leaf('s'), leaf('t'), leaf('b')];
      const matrix = kroneckerByDefinition(sizes, feeds.A, feeds.s, feeds.t);
      const want = timesMatrix(feeds.x, matrix, rows, n * u, n * v).map(
        (value, index) => value + (feeds.b.data[index % (n * v)] ?? NaN),
      );
      const explicit = explicitProduct(x, A, { kind: 'factored', left: s, right: t }, b);
      const factored = factoredProduct(x, A, { left: s, right: t }, b);
      const results = interpret({ explicit, factored }, feeds);
      expectNear(results.explicit.data, want);
      expectNear(results.factored.data, want);
    });
  });

  it('have the same gradients factored and through the matrix', () => {
    check(({ n, u, v, r, rows }) => {
      const shapes = { A: [n, n, n], s: [n, u, r], t: [n, r, v] } as const;
      const leaves = { A: parameter('A', shapes.A), s: parameter('s', shapes.s), t: parameter('t', shapes.t) };
      const x = input('x', 'float32', [1, rows, n * u]);
      const weights = input('w', 'float32', [1, rows, n * v]);
      const gradients = (y: Value, prefix: string): Record<string, Value> =>
        Object.fromEntries(
          differentiate(reduceSum(multiply(y, weights), [0, 1, 2]), [x, leaves.A, leaves.s, leaves.t]).map(
            (gradient, index) => [`${prefix}${index}`, gradient],
          ),
        );
      const factors = { left: leaves.s, right: leaves.t };
      const results = interpret(
        {
          ...gradients(explicitProduct(x, leaves.A, { kind: 'factored', ...factors }, undefined), 'explicit'),
          ...gradients(factoredProduct(x, leaves.A, factors, undefined), 'factored'),
        },
        {
          x: numbers([1, rows, n * u], 'x'),
          w: numbers([1, rows, n * v], 'w'),
          A: numbers(shapes.A, 'A'),
          s: numbers(shapes.s, 's'),
          t: numbers(shapes.t, 't'),
        },
      );
      for (const index of [0, 1, 2, 3]) {
        expectNear(results[`factored${index}`]?.data ?? [], results[`explicit${index}`]?.data ?? [NaN]);
      }
    });
  });

  it('are plain matrices at n = 1 and whole blocks at any n', () => {
    const [A, W] = [parameter('A', [1, 1, 1]), parameter('W', [1, 3, 2])];
    const feeds = { A: { shape: [1, 1, 1], data: [2] }, W: { shape: [1, 3, 2], data: [1, 2, 3, 4, 5, 6] } };
    expectNear(interpret({ H: kroneckerSum(A, W) }, feeds).H.data, [2, 4, 6, 8, 10, 12]);
  });

  it('are evaluated factored where that takes fewer multiplications', () => {
    expect(factoredIsFaster(4, 1, 768, 24)).toBe(true);
    expect(factoredIsFaster(12, 1, 768, 24)).toBe(false);
    expect(factoredIsFaster(12, 1, 768, 96)).toBe(true);
    expect(factoredIsFaster(4, 64, 768, 24)).toBe(false);
  });
});

/** A scope that only remembers what is trained. */
function remembering(): { readonly scope: ParameterScope; readonly declared: Map<string, Value> } {
  const declared = new Map<string, Value>();
  return {
    declared,
    scope: {
      trained: (name, shape) => {
        const value = declared.get(name) ?? parameter(name, shape);
        declared.set(name, value);
        return value;
      },
      fixed: (name) => {
        throw new Error(`${name} is not expected`);
      },
      dropout: (x) => x,
    },
  };
}

function shapesOf(declared: ReadonlyMap<string, Value>): Record<string, readonly unknown[]> {
  return Object.fromEntries([...declared].map(([name, { shape }]) => [name, shape]));
}

const plain = { init: 'normal', initDeviation: 1, initGain: 1 } as const;

describe('maps', () => {
  const x = input('x', 'float32', [2, 3, 8]);

  it('share the rule, or have one each, whole or factored', () => {
    const options = { ...plain, n: 2, rank: 1, sharedRule: true, factorisedRule: false, ruleDeviation: 1, bias: true };
    const declare = (changes: Partial<Parameters<typeof hypercomplexMap>[0]>): Record<string, readonly unknown[]> => {
      const { scope, declared } = remembering();
      const map = hypercomplexMap({ ...options, evaluation: 'auto', ...changes }, scope);
      map(x, 'one', 8, 4);
      map(x, 'two', 8, 4);
      return shapesOf(declared);
    };
    expect(declare({})).toEqual({
      'method.phm_rule': [2, 2, 2],
      'one.W_left': [2, 4, 1],
      'one.W_right': [2, 1, 2],
      'one.b': [4],
      'two.W_left': [2, 4, 1],
      'two.W_right': [2, 1, 2],
      'two.b': [4],
    });
    expect(declare({ sharedRule: false, rank: undefined, bias: false })).toEqual({
      'one.phm_rule': [2, 2, 2],
      'one.W': [2, 4, 2],
      'two.phm_rule': [2, 2, 2],
      'two.W': [2, 4, 2],
    });
    expect(Object.keys(declare({ factorisedRule: true, bias: false }))).toEqual([
      'method.phm_rule_left',
      'method.phm_rule_right',
      'one.W_left',
      'one.W_right',
      'two.W_left',
      'two.W_right',
    ]);
  });

  it('of low rank multiply their factors as matrices at every rank', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }), (rank, to) => {
        const { scope, declared } = remembering();
        const map: AffineMap = lowRankMap(rank, plain, scope);
        const y = map(x, 'map', 8, to);
        const feeds = Object.fromEntries(
          ['map.W_left', 'map.W_right', 'map.b'].map((name) => [
            name,
            numbers((declared.get(name)?.shape ?? []) as readonly number[], name),
          ]),
        );
        const [left = [], right = [], bias = []] = Object.values(feeds).map(({ data }) => Array.from(data));
        const matrix = Float64Array.from({ length: 8 * to }, (_, index) => {
          const [row, column] = [Math.floor(index / to), index % to];
          return Array.from({ length: rank }).reduce<number>(
            (sum, _none, k) => sum + (left[row * rank + k] ?? NaN) * (right[k * to + column] ?? NaN),
            0,
          );
        });
        const given = numbers([2, 3, 8], 'x');
        const want = timesMatrix(given, matrix, 6, 8, to).map((value, index) => value + (bias[index % to] ?? NaN));
        expectNear(interpret({ y }, { ...feeds, x: given }).y.data, want);
      }),
      { seed: 3, numRuns: 30 },
    );
  });
});
