import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileError } from '../../../src/base/errors.ts';
import type { TensorData } from '../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { add, gemm, input, matmul, swapLastAxes, weight } from '../../../src/engine/graph/operations.ts';
import { readKernelTimes } from '../../bench/kernel-times.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-lab-kernels-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const ones = (...shape: readonly number[]): TensorData & { readonly dtype: 'float32' } => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(shape.reduce((product, dim) => product * dim, 1)).fill(1),
});

describe('the times of a graph’s operations', () => {
  it('come with the operations of its products, batched, packed and transposed ones included', async () => {
    const x = input('x', 'float32', [2, 3, 5]);
    const y = input('y', 'float32', [2, 7, 5]);
    const flat = input('flat', 'float32', [11, 5]);
    const outputs = {
      scores: matmul(x, swapLastAxes(y)),
      projected: matmul(x, weight('w', [5, 13])),
      gradient: gemm(flat, add(flat, 1), { transposeA: true }),
    };
    const frozen = new Map([['w', { kind: 'data', shape: [5, 13], data: ones(5, 13).data } as const]]);
    const executable = await onnxBackend.compile(outputs, frozen, {
      provider: 'cpu',
      threads: 1,
      profile: join(folder, 'graph'),
    });
    for (let pass = 0; pass < 4; pass++)
      await executable.run({ x: ones(2, 3, 5), y: ones(2, 7, 5), flat: ones(11, 5) });
    await executable.dispose();
    const [file = ''] = readdirSync(folder);
    const times = await readKernelTimes(join(folder, file), 1);
    expect(times.productOperations).toBe(2 * (2 * 3 * 7 * 5 + 2 * 3 * 13 * 5 + 5 * 5 * 11));
    expect(times.seconds).toBeGreaterThan(0);
    expect(times.productSeconds).toBeGreaterThan(0);
    expect(times.productSeconds).toBeLessThan(times.seconds);
    const seconds = times.kernels.map((kernel) => kernel.seconds);
    expect(seconds).toEqual(seconds.toSorted((a, b) => b - a));
    expect(times.kernels.map(({ operation }) => operation)).toContain('Add');
    await expect(readKernelTimes(join(folder, file), 4)).rejects.toThrow(FileError);
  });

  it('are not read from another file', async () => {
    const file = join(folder, 'other.json');
    writeFileSync(file, '[{"name":"model_run"}]');
    await expect(readKernelTimes(file, 0)).rejects.toThrow(FileError);
  });
});
