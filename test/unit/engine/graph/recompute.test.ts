import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { onnxBackend } from '../../../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../../../src/engine/backends/tfjs/tfjs-backend.ts';
import type { TensorData } from '../../../../src/engine/backends/backend.ts';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { symbol } from '../../../../src/engine/graph/dims.ts';
import { linear } from '../../../../src/engine/graph/functions.ts';
import {
  add,
  broadcast,
  exp,
  gelu,
  input,
  layerNorm,
  multiply,
  parameter,
  reduceSum,
  softmax,
  subtract,
  tanh,
} from '../../../../src/engine/graph/operations.ts';
import { createDropoutSites } from '../../../../src/engine/graph/random-mask.ts';
import { cutSegments } from '../../../../src/engine/graph/recompute.ts';
import { topologicalOrder, type Value } from '../../../../src/engine/graph/value.ts';
import { cpu, floats, noise, tensor } from '../backends/agreement.ts';

const WIDTH = 4;
const [rows, feeds] = [3, new Map<string, TensorData>()];
const batch = symbol('batch');

const x = input('x', 'float32', [batch, WIDTH]);
feeds.set('x', floats([rows, WIDTH], noise(rows * WIDTH)));

function trained(name: string, shape: readonly number[], seed: number): Value {
  feeds.set(
    name,
    floats(
      shape,
      noise(
        shape.reduce((a, b) => a * b, 1),
        seed,
      ),
    ),
  );
  return parameter(name, shape);
}

/** What a block makes of its input, of the first block's input, and of a matrix of its own. */
type Block = (value: Value, first: Value, matrix: Value, vector: Value) => Value;

const sites = createDropoutSites();

const blocks: readonly Block[] = [
  (value, _, matrix) => gelu(linear(value, matrix)),
  (value, _, matrix, vector) => layerNorm(add(value, linear(value, matrix)), vector, vector, 0.1),
  (value, first, matrix) => tanh(add(linear(value, matrix), exp(multiply(first, 0.1)))),
  (value, _, matrix, vector) => add(value, multiply(softmax(linear(value, matrix)), broadcast(vector, value.shape))),
  (value) => sites.apply(tanh(value), 0.4),
  (value, first) => subtract(multiply(value, 0.5), multiply(value, first)),
];

/** A stack of blocks, and where each of them ends. */
function stack(kinds: readonly number[]): {
  readonly loss: Value;
  readonly ends: readonly Value[];
  readonly leaves: readonly Value[];
} {
  let value: Value = x;
  const leaves: Value[] = [];
  const ends = kinds.map((kind, index) => {
    const matrix = trained(`matrix ${index}`, [WIDTH, WIDTH], 2 * index + 3);
    const vector = trained(`vector ${index}`, [WIDTH], 2 * index + 4);
    leaves.push(matrix, vector);
    return (value = (blocks[kind] ?? gelu)(value, x, matrix, vector));
  });
  const loss = reduceSum(multiply(value, value), [0, 1]);
  const reached = new Set(topologicalOrder([loss]).map(({ id }) => id));
  return { loss, ends, leaves: leaves.filter(({ id }) => reached.has(id)) };
}

function feedsOf(outputs: readonly Value[]): Record<string, TensorData> {
  const given: Record<string, TensorData> = Object.fromEntries(feeds);
  for (const { operation, shape, dtype } of topologicalOrder(outputs)) {
    if (operation.kind !== 'input' || given[operation.name] !== undefined) continue;
    const sizes = shape.map((dim) => (typeof dim === 'number' ? dim : rows));
    const count = sizes.reduce((a, b) => a * b, 1);
    given[operation.name] = tensor(
      dtype,
      sizes,
      noise(count, 77).map((number) => (number * 2 ** 31) | 1),
    );
  }
  return given;
}

async function gradients(
  { loss, leaves }: ReturnType<typeof stack>,
  boundaries: readonly Value[],
  backend = onnxBackend,
  fed: Readonly<Record<string, TensorData>> = {},
): Promise<readonly (readonly number[])[]> {
  const values = differentiate(loss, leaves, { boundaries });
  const outputs = { loss, ...Object.fromEntries(values.map((value, index) => [`gradient ${index}`, value])) };
  const executable = await backend.compile(outputs, new Map(), cpu);
  try {
    const results = await executable.run({ ...feedsOf(Object.values(outputs)), ...fed });
    return Object.keys(outputs).map((name) => Array.from(results[name]?.data ?? [], Number));
  } finally {
    await executable.dispose();
  }
}

describe('recomputation', () => {
  it('gives the gradients that keeping everything gives, wherever the graph is cut', async () => {
    const kind = fc.integer({ min: 0, max: blocks.length - 1 });
    const built = fc
      .tuple(fc.array(kind, { minLength: 2, maxLength: 5 }), fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }))
      .filter(([kinds]) => kinds.some((each) => each < 4));
    await fc.assert(
      fc.asyncProperty(built, async ([kinds, cuts]) => {
        const made = stack(kinds);
        const boundaries = made.ends.slice(0, -1).filter((_, index) => cuts[index] === true);
        const kept = await gradients(made, []);
        const recomputed = await gradients(made, boundaries);
        kept.flat().forEach((number, index) => {
          expect(Math.abs((recomputed.flat()[index] ?? NaN) - number)).toBeLessThan(
            1e-5 * Math.max(1, Math.abs(number)),
          );
        });
        expect(await gradients(made, boundaries, tfjsBackend)).toEqual(await gradients(made, [], tfjsBackend));
      }),
      { numRuns: 25 },
    );
  });

  test.each([NaN, Infinity, -Infinity, -0])('passes %s on as it is', async (number) => {
    const made = stack([1, 0, 1]);
    const fed = {
      x: floats(
        [rows, WIDTH],
        noise(rows * WIDTH).map((usual, index) => (index === 5 ? number : usual)),
      ),
    };
    const kept = await gradients(made, [], onnxBackend, fed);
    expect(await gradients(made, made.ends.slice(0, -1), onnxBackend, fed)).toEqual(kept);
  });
});

describe('segments', () => {
  it('hold what depends on their boundary, and what they alone read', () => {
    const matrix = parameter('m', [WIDTH, WIDTH]);
    const shared = exp(x);
    const own = tanh(shared);
    const first = gelu(linear(x, matrix));
    const inside = multiply(gelu(linear(first, matrix)), own);
    const second = add(inside, shared);
    const loss = reduceSum(multiply(gelu(second), shared), [0, 1]);
    const { of, kept } = cutSegments(loss, [first, second]);
    expect(of.get(inside.id)).toBe(0);
    expect(of.get(own.id)).toBe(0);
    expect(of.has(shared.id)).toBe(false);
    expect(of.has(loss.id)).toBe(false);
    expect(kept.has(second.id)).toBe(true);
    expect(kept.has(inside.id)).toBe(false);
  });
});
