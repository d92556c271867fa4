import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { findWebgpu } from '../support/webgpu-way.ts';
import type { Testimony } from '../support/webgpu-witness.ts';

const program = join(import.meta.dirname, '..', 'support', 'webgpu-witness.ts');

const way = findWebgpu();
const missing = 'missing' in way ? ` (${way.missing})` : '';

/** Together they hold every operation that any method's graph has. The whole list: see CONTRIBUTING. */
const methods = ['full', 'lora', 'slash', 'pasta', 'prefix-tuning', 'compacter', 'private:lora', 'recompute:lora'];

describe.skipIf('missing' in way)(`a training step on WebGPU${missing}`, () => {
  const testimonies = new Map<string, Testimony>();

  beforeAll(async () => {
    const env = { ...process.env, ...('environment' in way ? way.environment : {}) };
    const { stdout } = await promisify(execFile)(process.execPath, [program, ...methods], { env, maxBuffer: 1 << 24 });
    for (const line of stdout.trim().split('\n')) {
      const testimony = JSON.parse(line) as Testimony;
      testimonies.set(testimony.method, testimony);
    }
  }, 900_000);

  it.each(methods)("%s: loss and every gradient are the CPU's, and the GPU computed all of it", (method) => {
    const testimony = testimonies.get(method);
    expect(testimony?.worst, testimony?.where).toBeLessThan(5e-5);
    expect(testimony?.outputs).toBeGreaterThan(3);
    expect(testimony?.onGpu).toBeGreaterThan(100);
    expect(testimony?.onCpu).toEqual([]);
    expect(testimony?.carried).toEqual([]);
  });
});
