import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { makeBench, type Bench } from '../../support/cli.ts';
import { findWebgpu } from '../../support/webgpu-way.ts';

const way = findWebgpu();
const missing = 'missing' in way ? ` (${way.missing})` : '';

describe.skipIf('missing' in way)(`a run on WebGPU${missing}`, () => {
  let bench: Bench;
  beforeEach(async () => {
    const environment = 'environment' in way ? way.environment : {};
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    bench = await makeBench();
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    bench.remove();
  });

  test('trains and evaluates as one on the CPU does, and its record says what computed it', async () => {
    const file = bench.configure('a', { training: { steps: 8, evaluateEvery: 8, checkpointEvery: 8, dropout: 0.1 } });
    expect((await bench.run('run', file)).code).toBe(0);
    const second = await bench.run('run', file, '--set', 'device=webgpu');
    expect(second.err).toContain('8 steps on webgpu');
    expect(second.code).toBe(0);
    const [cpu = '', gpu = ''] = bench.ids();
    const [usual, other] = [bench.numbers(cpu), bench.numbers(gpu)];
    expect(other.steps).toHaveLength(8);
    for (const [index, [step, loss, , norm]] of usual.steps.entries()) {
      const [, otherLoss, , otherNorm] = other.steps[index] ?? [];
      expect(Math.abs((otherLoss ?? NaN) - (loss ?? NaN)), `loss of step ${step}`).toBeLessThan(1e-4);
      expect(Math.abs((otherNorm ?? NaN) / (norm ?? NaN) - 1), `gradient of step ${step}`).toBeLessThan(1e-4);
    }
    expect(other.evaluations).toHaveLength(1);
    const started = bench.events(gpu).find((event) => event.type === 'started');
    expect(started?.device).toMatchObject({ provider: 'webgpu', reason: 'asked for' });
    const warned = bench
      .events(gpu)
      .some((event) => event.type === 'log' && event.message.includes('slower than the CPU'));
    expect(warned).toBe('environment' in way && 'VK_DRIVER_FILES' in way.environment);
  }, 600_000);

  test.skipIf(process.platform !== 'linux')(
    'without a driver fails with what is missing, and no word of the runtime’s source',
    async () => {
      for (const name of ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES']) vi.stubEnv(name, bench.folder);
      const { code, err } = await bench.run('run', bench.configure('a'), '--set', 'device=webgpu');
      expect(code).toBe(2);
      expect(err).toMatch(/warning: webgpu will hardly start: there is no /);
      expect(err).toMatch(/the execution provider webgpu could not take the model: Failed to get a WebGPU adapter/);
      expect(err).not.toMatch(/onnxruntime_src|\.cc:/);
      expect(err).toContain('peft-lab doctor');
    },
  );

  test('is not what auto takes where only the CPU would compute it', async () => {
    if (!('environment' in way) || !('VK_DRIVER_FILES' in way.environment)) return;
    const file = bench.configure('a', { device: 'auto', training: { steps: 2, evaluateEvery: 2, checkpointEvery: 2 } });
    expect((await bench.run('run', file)).code).toBe(0);
    const started = bench.events(bench.ids()[0] ?? '').find((event) => event.type === 'started');
    expect(started?.device).toMatchObject({
      provider: 'cpu',
      reason: expect.stringContaining('only a driver that computes on the CPU (VK_DRIVER_FILES') as string,
    });
  });
});
