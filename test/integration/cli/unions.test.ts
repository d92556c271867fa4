import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeBench, type Bench } from '../../support/cli.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(() => {
  bench.remove();
});

const task = { id: 'sst2', data: 'data', maxLength: 24 };

function methodOf(id: string): unknown {
  const { method } = JSON.parse(readFileSync(join(bench.runFolder(id), 'config.json'), 'utf8')) as { method: unknown };
  return method;
}

describe('unions of methods', () => {
  test('learn from files, each part with its defaults', async () => {
    const narrow = { prefixLength: 2, prefixBottleneck: 8, bottleneck: 4, rank: 2 };
    const method = [
      { id: 'union', parts: [{ id: 'lora', rank: 2, gated: true }, { id: 'ia3' }, { id: 'pasta' }] },
      { id: 'unipelt', ...narrow },
      { id: 'unipelt-prompt', ...narrow, promptLength: 3, place: 'after-first-token' },
      { id: 'ia3', gated: true },
    ];
    const file = bench.configure('a', { task, matrix: { method }, training: { steps: 300, evaluateEvery: 300 } });
    expect((await bench.run('run', file)).code).toBe(0);
    const ids = bench.ids();
    expect(ids).toHaveLength(method.length);
    for (const id of ids) {
      const losses = bench.events(id).flatMap((event) => (event.type === 'step' ? [event.loss ?? NaN] : []));
      const mean = (of: readonly number[]): number => of.reduce((sum, loss) => sum + loss, 0) / of.length;
      expect(losses).toHaveLength(300);
      expect(mean(losses.slice(-60))).toBeLessThan(mean(losses.slice(0, 60)));
    }
    expect(methodOf(ids[0] ?? '')).toMatchObject({
      parts: [
        { id: 'lora', rank: 2, alpha: 16, gated: true },
        { id: 'ia3', gated: false },
        { id: 'pasta', vectors: 'per-slot' },
      ],
    });
  });

  test('are refused where two parts put rows into the text', async () => {
    const method = { id: 'union', parts: [{ id: 'warp' }, { id: 'prompt-tuning' }] };
    const { code, err } = await bench.run('run', bench.configure('a', { task, method }));
    expect(code).not.toBe(0);
    expect(err).toContain('warp and prompt-tuning both put rows into the sequence');
  });
});
