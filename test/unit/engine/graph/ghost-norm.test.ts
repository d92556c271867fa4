import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomStream } from '../../../../src/base/random.ts';
import type { Executable, TensorData } from '../../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../../src/engine/backends/onnx/onnx-backend.ts';
import { multiplyDims } from '../../../../src/engine/graph/dims.ts';
import {
  constant,
  gemm,
  input,
  multiply,
  parameter,
  reduceSum,
  reshape,
} from '../../../../src/engine/graph/operations.ts';
import { clippedSums } from '../../../../src/engine/graph/clipping.ts';
import { perExampleGradients } from '../../../../src/engine/graph/per-example.ts';
import type { Value } from '../../../../src/engine/graph/value.ts';
import { batch } from './support.ts';

const WIDTH = 300;
const TOKENS = 2;
const CLIP = 0.5;

/** A matrix of 90,000 numbers, whose gradient Σ_t x_tᵀ y_t is measured through Gram matrices. */
function clippedGraph(): Readonly<Record<string, Value>> {
  const x = input('x', 'float32', [batch, TOKENS, WIDTH]);
  const y = input('y', 'float32', [batch, TOKENS, WIDTH]);
  const matrix = parameter('matrix', [WIDTH, WIDTH]);
  const product = gemm(reshape(x, [multiplyDims(batch, TOKENS), WIDTH]), matrix);
  const losses = reduceSum(multiply(reshape(product, [batch, TOKENS, WIDTH]), y), [1, 2]);
  const { gradients } = perExampleGradients(losses, [matrix], batch);
  expect(gradients.map(({ form }) => form)).toEqual(['pair']);
  const { norms, sums } = clippedSums(gradients, [matrix], constant([CLIP], []));
  return { norms, sum: sums[0] ?? norms };
}

function tensor(data: Float32Array): TensorData {
  return { dtype: 'float32', shape: [1, TOKENS, WIDTH], data };
}

/** Σ_t x_tᵀ y_t in float64. */
function gradientOf(x: Float32Array, y: Float32Array): Float64Array {
  const gradient = new Float64Array(WIDTH * WIDTH);
  for (let t = 0; t < TOKENS; t++)
    for (let i = 0; i < WIDTH; i++)
      for (let j = 0; j < WIDTH; j++)
        gradient[i * WIDTH + j] =
          (gradient[i * WIDTH + j] ?? NaN) + (x[t * WIDTH + i] ?? NaN) * (y[t * WIDTH + j] ?? NaN);
  return gradient;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? NaN) * (b[i] ?? NaN);
  return sum;
}

describe('the norm of a gradient that is not formed', () => {
  let executable: Executable;
  beforeAll(async () => {
    executable = await onnxBackend.compile(clippedGraph(), new Map(), { provider: 'cpu', threads: 1 });
  });
  afterAll(() => executable.dispose());

  /** An example of two tokens whose parts of the gradient cancel but for one part in `cancellation`. */
  async function clipped(seed: number, cancellation: number) {
    const random = randomStream(seed, 'cancelling');
    const normal = () => Float32Array.from({ length: WIDTH }, () => random.normal());
    const [x, y, rest] = [normal(), normal(), normal()];
    const xs = Float32Array.from([...x, ...x.map((value, i) => -value + (rest[i] ?? NaN) / cancellation)]);
    const ys = Float32Array.from([...y, ...y]);
    const results = await executable.run({
      x: tensor(xs),
      y: tensor(ys),
      matrix: { dtype: 'float32', shape: [WIDTH, WIDTH], data: new Float32Array(WIDTH * WIDTH) },
    });
    const gradient = gradientOf(xs, ys);
    const sum = results['sum']?.data;
    if (!(sum instanceof Float32Array)) throw new Error('no sum');
    const norm = Math.sqrt(dot(gradient, gradient));
    return { norm, contribution: dot(sum, gradient) / norm };
  }

  it('is never clipped to more than the bound, however the tokens cancel', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.constantFrom(1, 10, 100, 300, 1000, 10_000), async (seed, cancellation) => {
        const { contribution } = await clipped(seed, cancellation);
        expect(contribution).toBeLessThan(CLIP * 1.001);
      }),
      { numRuns: 30 },
    );
  });

  it('costs an ordinary example next to nothing of its weight', async () => {
    const { norm, contribution } = await clipped(1, 1);
    expect(norm).toBeGreaterThan(CLIP);
    expect(contribution).toBeGreaterThan(CLIP * 0.999);
  });
});
