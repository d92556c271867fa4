import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeBench, type Bench } from '../../support/cli.ts';
import { hasSignals } from '../../support/signals.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(() => {
  bench.remove();
});

/** The bytes of the tensors of a run's last checkpoint, without its header, which holds times. */
function tensorsOf(id: string): Buffer {
  const bytes = readFileSync(join(bench.runFolder(id), 'checkpoints', 'last.safetensors'));
  return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
}

const task = { id: 'sst2', data: 'data', maxLength: 24 };

describe('methods that add rows and shifts', () => {
  test('learn from files and are scored', async () => {
    const method = [
      { id: 'pasta' },
      { id: 'prompt-tuning', length: 4, enter: 'before-embedding', init: 'vocabulary' },
      { id: 'prefix-tuning', length: 4, reparametrise: true, bottleneck: 8, dropout: 0.1, shiftPositions: true },
      { id: 'warp', prompts: 4 },
      { id: 'jr-warp', dimension: 16 },
    ];
    const file = bench.configure('a', { task, matrix: { method }, training: { steps: 300, evaluateEvery: 300 } });
    expect((await bench.run('run', file)).code).toBe(0);
    expect(bench.ids()).toHaveLength(method.length);
    for (const id of bench.ids()) {
      const events = bench.events(id);
      const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss ?? NaN] : []));
      const mean = (of: readonly number[]): number => of.reduce((sum, loss) => sum + loss, 0) / of.length;
      expect(losses).toHaveLength(300);
      expect(mean(losses.slice(-60))).toBeLessThan(mean(losses.slice(0, 60)));
      expect(events.filter(({ type }) => type === 'evaluation')).toHaveLength(1);
    }
  });

  test.runIf(hasSignals)('PASTA with dropout on its vectors: stopped, resumed, and as if never stopped', async () => {
    const training = { steps: 1200, evaluateEvery: 400, checkpointEvery: 400 };
    const file = bench.configure('a', { task, method: { id: 'pasta', dropout: 0.2 }, training });
    const { child, ended } = bench.start('run', file);
    const { id } = await bench.wait(0, (event) => event.type === 'step' && event.step >= 50);
    child.kill('SIGINT');
    expect((await ended).code).toBe(130);
    expect(bench.events(id).at(-1)?.type).toBe('stopped');
    expect((await bench.run('resume', id.slice(-6))).code).toBe(0);
    expect((await bench.run('run', file)).code).toBe(0);
    const unbroken = bench.ids()[1] ?? '';
    expect(bench.numbers(id)).toEqual(bench.numbers(unbroken));
    expect(tensorsOf(id)).toEqual(tensorsOf(unbroken));
  });

  test('are counted for what the task is made of, pairs where none is named', async () => {
    const counted = async (...args: readonly string[]): Promise<unknown> =>
      JSON.parse((await bench.run('params', '--json', ...args)).out) as unknown;
    const single = await counted('--model', bench.configure('a', { task, method: 'pasta' }));
    expect(single).toMatchObject({ method: 2 * 2 * 16, texts: 'single' });
    const pair = await counted('--model', 'model', '--method', 'pasta');
    expect(pair).toMatchObject({ method: 2 * 3 * 16, texts: 'pair' });
    const told = await bench.run('params', '--model', 'model', '--method', 'pasta');
    expect(told.out).toContain('pairs of texts');
  });

  test('rows that take positions from the text are refused where the examples would not fit', async () => {
    const method = { id: 'prompt-tuning', length: 20, enter: 'before-embedding' };
    const file = bench.configure('a', { task, method });
    const { code, err } = await bench.run('run', file);
    expect(code).not.toBe(0);
    expect(err).toContain('takes 20 of the');
    expect(err).toContain('Set task.maxLength to 20 or less.');
  });
});
