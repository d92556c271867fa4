import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { topologicalOrder } from '../../src/engine/graph/value.ts';
import { methodIds } from '../../src/peft/registry.ts';
import { methodStep } from '../support/every-method.ts';
import { openTinyEncoder } from '../support/tiny-checkpoint.ts';
import { findWebgpu } from '../support/webgpu-way.ts';
import type { Testimony } from '../support/webgpu-witness.ts';

const probe = join(import.meta.dirname, '..', '..', 'src', 'engine', 'device-probe.ts');
const program = join(import.meta.dirname, '..', 'support', 'webgpu-witness.ts');

const memory = join(import.meta.dirname, '..', 'support', 'webgpu-memory.ts');

const way = findWebgpu();
const environment = { env: { ...process.env, ...('environment' in way ? way.environment : {}) } };
const missing = 'missing' in way ? ` (${way.missing})` : '';

/** Together they hold every operation that any method's graph has, which a test below checks. The whole list: see CONTRIBUTING. */
const methods = [
  'full',
  'slash',
  'jr-warp',
  'pasta',
  'unipelt',
  'compacter',
  'intrinsic-said',
  'private:lora',
  'recompute:lora',
];

async function testify(asked: readonly string[]): Promise<ReadonlyMap<string, Testimony>> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...asked], {
    ...environment,
    maxBuffer: 1 << 24,
  });
  const testimonies = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Testimony]));
  return new Map(testimonies.map((testimony) => [testimony.method, testimony]));
}

describe('the steps that are computed on WebGPU', () => {
  it('have every operation that any method has, so that none is left out', async () => {
    const checkpoint = await openTinyEncoder();
    const operationsOf = async (id: string, kind: 'plain' | 'private'): Promise<readonly string[]> => {
      const { outputs } = await methodStep(checkpoint, id, kind, { recompute: false });
      return topologicalOrder(Object.values(outputs)).map(({ operation, dtype }) => `${operation.kind} ${dtype}`);
    };
    const computed = new Set<string>();
    for (const asked of methods)
      for (const each of await operationsOf(
        asked.replace(/^.*:/, ''),
        asked.startsWith('private:') ? 'private' : 'plain',
      ))
        computed.add(each);
    const missing: string[] = [];
    for (const id of methodIds())
      for (const kind of ['plain', 'private'] as const)
        missing.push(
          ...(await operationsOf(id, kind)).filter((each) => !computed.has(each)).map((each) => `${id}: ${each}`),
        );
    expect([...new Set(missing)]).toEqual([]);
  });
});

describe.skipIf('missing' in way)(`a training step on WebGPU${missing}`, () => {
  let testimonies: ReadonlyMap<string, Testimony>;

  beforeAll(async () => {
    testimonies = await testify(methods);
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

const swiftShader = 'environment' in way && 'VK_DRIVER_FILES' in way.environment;

describe.skipIf(!swiftShader)(
  `memory that runs out on WebGPU${swiftShader ? '' : ' (its end is known of SwiftShader alone)'}`,
  () => {
    it('splits a batch, and the device goes on computing', async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [memory], environment);
      const { told, sizes, first } = JSON.parse(stdout) as Readonly<Record<string, readonly unknown[]>>;
      expect(told).toEqual([
        expect.stringMatching(/^8 examples of 34000000 tokens do not fit into the device's memory/),
      ]);
      expect(sizes).toEqual([4, 4]);
      expect(first).toEqual([0, 2, 4, 6, 8, 10, 12, 14]);
    }, 300_000);
  },
);

// Chromium's driver has no arithmetic in 16 bits; Mesa's llvmpipe has it since version 24 or so, and most GPUs do.
describe.skipIf('missing' in way)(`a training step in float16 on WebGPU${missing}`, () => {
  const asked = ['float16:lora', 'float16:full', 'float16:prefix-tuning'];

  it('is computed on the GPU to the digits of 16 bits, or refused where it has none', async (context) => {
    const testimonies = await testify(asked).catch((error: unknown) => {
      expect(String(error)).toMatch(/this machine's GPU, or its driver, does not compute in float16/);
      return context.skip('the driver refuses float16, as it should: nothing more can be seen of it here');
    });
    const { env } = environment;
    const { stdout } = await promisify(execFile)(process.execPath, [probe, 'webgpu', '1', 'float16'], { env });
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'works' });
    for (const each of asked) {
      const testimony = testimonies.get(each);
      expect(testimony?.worst, testimony?.where).toBeLessThan(0.03);
      // Were it computed in 32 bits, nothing would be so far apart.
      expect(testimony?.worst, testimony?.where).toBeGreaterThan(5e-5);
      expect(testimony?.onCpu).toEqual([]);
      expect(testimony?.carried).toEqual([]);
    }
  }, 900_000);
});
