import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../../../src/base/errors.ts';
import type { EightBitPlan, TensorData, WeightSource } from '../../../../src/engine/backends/backend.ts';
import { columnSums, SEVEN_BITS, toEightBits } from '../../../../src/engine/backends/onnx/eight-bit.ts';
import { onnxBackend } from '../../../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../../../src/engine/backends/tfjs/tfjs-backend.ts';
import { symbol } from '../../../../src/engine/graph/dims.ts';
import type { Reading } from '../../../../src/engine/graph/frozen-products.ts';
import { linear } from '../../../../src/engine/graph/functions.ts';
import { gemm, input, parameter, weight } from '../../../../src/engine/graph/operations.ts';
import { cpu, floats, noise } from './agreement.ts';

const [OUT, INNER, ROWS] = [40, 70, 5];
const matrix = Float32Array.from(noise(OUT * INNER));
const weights: WeightSource = new Map([['w', { kind: 'data', shape: [OUT, INNER], data: matrix }]]);
const w = weight('w', [OUT, INNER]);
const x = input('x', 'float32', [symbol('rows'), INNER]);
const bias = parameter('bias', [OUT]);
const g = input('g', 'float32', [symbol('rows'), OUT]);
const outputs = { forward: linear(x, w, bias), backward: gemm(g, w) };

async function run(
  feeds: Readonly<Record<string, TensorData>>,
  plan?: EightBitPlan,
): Promise<Readonly<Record<keyof typeof outputs, Float32Array>>> {
  const executable = await onnxBackend.compile(outputs, weights, plan === undefined ? cpu : { ...cpu, eightBit: plan });
  try {
    const { forward, backward } = await executable.run(feeds);
    if (forward?.dtype !== 'float32' || backward?.dtype !== 'float32') throw new Error('there are no products');
    return { forward: forward.data, backward: backward.data };
  } finally {
    await executable.dispose();
  }
}

function feedsOf(rows: readonly number[], gradients: readonly number[]): Readonly<Record<string, TensorData>> {
  return {
    x: floats([rows.length / INNER, INNER], rows),
    g: floats([gradients.length / OUT, OUT], gradients),
    bias: floats([OUT], noise(OUT, 3)),
  };
}

const bothWays = new Set<Reading>(['transposed', 'straight']);
const plain: EightBitPlan = new Map([['w', { readings: bothWays, sizes: undefined }]]);

/** The size of the difference as a share of the size of what is wanted. */
function distance(got: Float32Array, want: Float32Array): number {
  const norm = (numbers: Float32Array): number => Math.hypot(...numbers);
  return norm(got.map((number, index) => number - (want[index] ?? NaN))) / norm(want);
}

describe('a matrix in 8 bits', () => {
  const numbers = (count: number, min: number): fc.Arbitrary<Float32Array> =>
    fc
      .array(fc.integer({ min, max: 800 }), { minLength: count, maxLength: count })
      .map((hundredths) => Float32Array.from(hundredths, (number) => number / 100));
  const anyMatrix = fc
    .record({ out: fc.integer({ min: 1, max: 9 }), inner: fc.integer({ min: 1, max: 9 }) })
    .chain(({ out, inner }) =>
      fc.record({
        shape: fc.constant([out, inner] as const),
        matrix: numbers(out * inner, -800),
        sizes: fc.option(numbers(inner, 0)),
        limit: fc.constantFrom(127, SEVEN_BITS),
      }),
    );

  test('is off by at most half a step of its column, whichever way it is read', () => {
    fc.assert(
      fc.property(anyMatrix, fc.constantFrom('straight', 'transposed'), ({ shape, matrix, sizes, limit }, reading) => {
        const [out, inner] = shape;
        const rounded = toEightBits(matrix, shape, reading, limit, sizes ?? undefined);
        expect(rounded.shape).toEqual(reading === 'straight' ? [out, inner] : [inner, out]);
        expect(rounded.rowFactors === undefined).toBe(reading === 'straight' || sizes === null);
        for (let row = 0; row < out; row++) {
          for (let column = 0; column < inner; column++) {
            const at = reading === 'straight' ? row * inner + column : column * out + row;
            const scale = rounded.scales[reading === 'straight' ? column : row] ?? NaN;
            const factor = rounded.rowFactors?.[column] ?? 1;
            const value = rounded.values[at] ?? NaN;
            expect(Math.abs(value)).toBeLessThanOrEqual(limit);
            const error = Math.abs(value * scale * factor - (matrix[row * inner + column] ?? NaN));
            expect(error).toBeLessThanOrEqual(scale * factor * (0.5 + 1e-4));
          }
        }
        const sums = columnSums(rounded);
        const [terms, columns] = rounded.shape;
        for (let column = 0; column < columns; column++) {
          let sum = 0;
          for (let term = 0; term < terms; term++) sum += rounded.values[term * columns + column] ?? NaN;
          expect(sums[column]).toBeCloseTo(sum * (rounded.scales[column] ?? NaN), 3);
        }
      }),
    );
  });

  test('loses less of a channel that is known to be small', () => {
    // The rows' second channel is a thousand times the first; beside it the first would be rounded to nothing.
    const sizes = Float32Array.of(0.001, 1);
    const { rowFactors = new Float32Array() } = toEightBits(Float32Array.of(1, 1), [1, 2], 'transposed', 127, sizes);
    expect((rowFactors[0] ?? NaN) / (rowFactors[1] ?? NaN)).toBeCloseTo(Math.sqrt(1000), 3);
  });
});

describe('products in 8 bits', () => {
  const feeds = feedsOf(noise(ROWS * INNER, 5), noise(ROWS * OUT, 7));

  test('are those in float32 but for a hundredth', async () => {
    const [exact, rounded] = [await run(feeds), await run(feeds, plain)];
    expect(distance(rounded.forward, exact.forward)).toBeLessThan(0.01);
    expect(distance(rounded.backward, exact.backward)).toBeLessThan(0.01);
    expect(distance(rounded.forward, exact.forward)).toBeGreaterThan(1e-5);
  });

  test('take channels of different sizes apart', async () => {
    const uneven = noise(ROWS * INNER, 5).map((number, at) => (at % INNER === 3 ? 300 * number : number));
    const sizes = Float32Array.from({ length: INNER }, (_, channel) => (channel === 3 ? 300 : 1));
    const withLarge = feedsOf(uneven, noise(ROWS * OUT, 7));
    // What the other channels add must be seen beside the large one.
    const only = feedsOf(
      uneven.map((number, at) => (at % INNER === 3 ? number : 0)),
      noise(ROWS * OUT, 7),
    );
    const [exact, large] = [await run(withLarge), await run(only)];
    const wanted = exact.forward.map((number, at) => number - (large.forward[at] ?? NaN));
    const error = async (plan: EightBitPlan): Promise<number> => {
      const { forward } = await run(withLarge, plan);
      return distance(
        forward.map((number, at) => number - (large.forward[at] ?? NaN)),
        wanted,
      );
    };
    expect(await error(new Map([['w', { readings: bothWays, sizes }]]))).toBeLessThan(0.5 * (await error(plain)));
  });

  test.each([
    ['transposed', 'forward', 'backward'],
    ['straight', 'backward', 'forward'],
  ] as const)('are read %s alone where a plan says so', async (reading, changed, kept) => {
    const feeds = feedsOf(noise(ROWS * INNER, 5), noise(ROWS * OUT, 6));
    const exact = await run(feeds);
    const rounded = await run(feeds, new Map([['w', { readings: new Set<Reading>([reading]), sizes: undefined }]]));
    expect(rounded[kept]).toEqual(exact[kept]);
    expect(rounded[changed]).not.toEqual(exact[changed]);
  });

  test('of a row do not depend on the other rows, however large those are', async () => {
    const row = noise(INNER, 11);
    const gradient = noise(OUT, 12);
    const alone = await run(feedsOf(row, gradient), plain);
    const beside = await run(
      feedsOf([...row, ...row.map((number) => 1e6 * number)], [...gradient, ...gradient.map((number) => 1e6 * number)]),
      plain,
    );
    expect(beside.forward.subarray(0, OUT)).toEqual(alone.forward);
    expect(beside.backward.subarray(0, INNER)).toEqual(alone.backward);
  });

  test('of zeros are the bias and zeros, of what is no number no number', async () => {
    const zeros = await run(feedsOf(noise(INNER).fill(0), noise(OUT).fill(0)), plain);
    expect(Array.from(zeros.forward)).toEqual(noise(OUT, 3));
    expect(Math.max(...zeros.backward.map(Math.abs))).toBe(0);
    const broken = await run(feedsOf(noise(INNER).fill(NaN, 0, 1), noise(OUT).fill(Infinity, 0, 1)), plain);
    expect(broken.forward.every(Number.isNaN)).toBe(true);
    expect(broken.backward.every(Number.isFinite)).toBe(false);
  });

  test.each([
    [onnxBackend, { ...cpu, provider: 'webgpu' }],
    [tfjsBackend, { ...cpu, provider: 'tfjs' }],
  ])('are refused where there are none: $1.provider', async (backend, options) => {
    const compiled = backend.compile(outputs, weights, { ...options, eightBit: plain });
    await expect(compiled).rejects.toBeInstanceOf(UserError);
    await expect(compiled).rejects.toThrow(`on the CPU alone, not on ${options.provider}`);
  });
});
