import { expect } from 'vitest';
import type { Backend, CompileOptions, TensorData, WeightLocation } from '../../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../../../src/engine/backends/tfjs/tfjs-backend.ts';
import type { DType, Value } from '../../../../src/engine/graph/value.ts';
import { interpret } from '../../../support/interpreter.ts';

export const cpu: CompileOptions = { provider: 'cpu', threads: 1 };

export function tensor(dtype: DType, shape: readonly number[], data: ArrayLike<number>): TensorData {
  const numbers = Array.from(data);
  switch (dtype) {
    case 'float32':
      return { dtype, shape, data: Float32Array.from(numbers) };
    case 'int32':
      return { dtype, shape, data: Int32Array.from(numbers) };
    case 'int64':
      return { dtype, shape, data: BigInt64Array.from(numbers, BigInt) };
    case 'bool':
      return { dtype, shape, data: Uint8Array.from(numbers) };
  }
}

export function floats(shape: readonly number[], data: ArrayLike<number>): TensorData {
  return tensor('float32', shape, data);
}

/** Numbers that look random and are the same in every run. */
export function noise(count: number, seed = 1): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1);
  });
}

export function size(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

function numbersOf({ data }: TensorData): number[] {
  return data instanceof BigInt64Array ? Array.from(data, Number) : Array.from(data);
}

/** The largest |a - b| / max(1, |a|, |b|); NaN agrees with NaN and infinities with themselves. */
function disagreement(a: readonly number[], b: readonly number[]): number {
  return a.reduce((worst, x, i) => {
    const y = b[i] ?? NaN;
    if (Object.is(x, y) || x === y) return worst;
    const relative = Math.abs(x - y) / Math.max(1, Math.abs(x), Math.abs(y));
    return Number.isNaN(relative) ? Infinity : Math.max(worst, relative);
  }, 0);
}

/** Runs a graph on every backend and holds dtype, shape and every element against the interpreter. */
export async function expectAgreement(
  outputs: Readonly<Record<string, Value>>,
  feeds: Readonly<Record<string, TensorData>>,
  weights: Readonly<Record<string, WeightLocation & { readonly kind: 'data' }>> = {},
  tolerance = 1e-5,
  backends: readonly Backend[] = [onnxBackend, tfjsBackend],
): Promise<void> {
  const plain = Object.fromEntries(
    Object.entries(feeds).map(([name, feed]) => [name, { shape: feed.shape, data: numbersOf(feed) }]),
  );
  const expected = interpret(outputs, plain, weights);
  for (const backend of backends) await expectResults(backend, outputs, feeds, weights, expected, tolerance);
}

async function expectResults(
  backend: Backend,
  outputs: Readonly<Record<string, Value>>,
  feeds: Readonly<Record<string, TensorData>>,
  weights: Readonly<Record<string, WeightLocation>>,
  expected: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>>,
  tolerance: number,
): Promise<void> {
  const executable = await backend.compile(outputs, new Map(Object.entries(weights)), cpu);
  try {
    const results = await executable.run(feeds);
    expect(Object.keys(results)).toEqual(Object.keys(outputs));
    for (const [name, value] of Object.entries(outputs)) {
      const result = results[name];
      const wanted = expected[name];
      if (result === undefined || wanted === undefined) throw new Error(`no result ${name}`);
      expect({ on: backend.name, name, dtype: result.dtype, shape: result.shape }).toEqual({
        on: backend.name,
        name,
        dtype: value.dtype,
        shape: wanted.shape,
      });
      const worst = disagreement(numbersOf(result), Array.from(wanted.data));
      expect(
        worst,
        `${name} on ${backend.name}: ${numbersOf(result).slice(0, 8).join()} for ${Array.from(wanted.data).slice(0, 8).join()}`,
      ).toBeLessThan(tolerance);
    }
  } finally {
    await executable.dispose();
  }
}
