import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeBench, type Bench } from '../../support/cli.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(() => {
  bench.remove();
});

function idAt(index: number): string {
  const id = bench.ids()[index];
  if (id === undefined) throw new Error(`there is no run ${index}`);
  return id;
}

test('a run on TensorFlow.js trains to the end as one on onnxruntime does, says what computed it, and is compared', async () => {
  const training = { steps: 24, evaluateEvery: 12, checkpointEvery: 12, dropout: 0.1 };
  const file = bench.configure('a', { training });
  expect((await bench.run('run', file)).code).toBe(0);
  const second = await bench.run('run', file, '--set', 'device=tfjs');
  expect(second.err).toContain('24 steps on tfjs');
  expect(second.code).toBe(0);

  const [usual, other] = [bench.numbers(idAt(0)), bench.numbers(idAt(1))];
  expect(other.steps).toHaveLength(24);
  expect(other.evaluations).toHaveLength(2);
  for (const [index, [step, loss, , norm]] of usual.steps.slice(0, 10).entries()) {
    const [, otherLoss, , otherNorm] = other.steps[index] ?? [];
    expect(Math.abs((otherLoss ?? NaN) - (loss ?? NaN)), `loss of step ${step}`).toBeLessThan(1e-4);
    expect(Math.abs((otherNorm ?? NaN) / (norm ?? NaN) - 1), `gradient of step ${step}`).toBeLessThan(1e-4);
  }

  const started = bench.events(idAt(1)).find((event) => event.type === 'started');
  const { device } = started ?? {};
  expect(device).toMatchObject({ provider: 'tfjs' });
  expect(device?.reason).toMatch(/^asked for; @tensorflow\/tfjs\S* 4\.\d+\.\d+, its backend (cpu|tensorflow)/);
  const environment = JSON.parse(readFileSync(join(bench.runFolder(idAt(1)), 'environment.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, string>>;
  };
  expect(Object.keys(environment.packages)).toEqual(['onnxruntime-node', expect.stringMatching(/^@tensorflow\/tfjs/)]);
  expect((await bench.run('show', idAt(1))).out).toMatch(/tfjs, \d+ threads? \(asked for; @tensorflow/);
  const compared = await bench.run('compare', '--by', 'method,device.provider');
  expect(compared.out).toMatch(/lora/);
});

test('doctor outlasts a TensorFlow.js that ends the process which loads it', async () => {
  const installed = join(bench.folder, 'node_modules', '@tensorflow', 'tfjs-node');
  mkdirSync(installed, { recursive: true });
  writeFileSync(join(installed, 'package.json'), '{ "name": "@tensorflow/tfjs-node", "version": "4.22.0" }');
  const abort = 'console.error("compiled to use AVX instructions, which are not available"); process.abort();';
  writeFileSync(join(installed, 'index.js'), abort);
  const { code, out, err } = await bench.run('doctor');
  expect([code, err]).toEqual([0, '']);
  for (const name of ['computation', 'GPU', 'SQLite', 'disk', 'hub'])
    expect(out).toMatch(new RegExp(`^ok +${name} `, 'm'));
  expect(out).toMatch(/^warning +TensorFlow\.js +loading it ended with SIGABRT: compiled to use AVX/m);
  // The editor reads it so.
  const { checks, providers } = JSON.parse((await bench.run('doctor', '--json')).out) as {
    readonly checks: readonly unknown[];
    readonly providers: readonly string[];
  };
  expect(checks.length).toBeGreaterThan(10);
  expect(providers).toContain('cpu');
  expect(providers).not.toContain('tfjs');
});
