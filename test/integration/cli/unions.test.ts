import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCheckpoint } from '../../../src/engine/checkpoint-file.ts';
import { openEncoder, type EncoderCheckpoint } from '../../../src/engine/encoder-checkpoint.ts';
import { readTensors } from '../../../src/engine/safetensors.ts';
import { makeBench, type Bench } from '../../support/cli.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(() => {
  bench.remove();
});

const task = { id: 'sst2', data: 'data', maxLength: 24 };

async function numbers({ tensors }: EncoderCheckpoint, name: string): Promise<Float32Array> {
  const tensor = tensors.get(name);
  const data =
    tensor === undefined ? undefined : (await readTensors(tensor.file, [tensor.name])).get(tensor.name)?.data;
  if (!(data instanceof Float32Array)) throw new Error(`there is no ${name}`);
  return data;
}

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

  test('are exported as an encoder where every part folds, and refused with the reason where one does not', async () => {
    const parts = [
      { id: 'lora', rank: 2, alpha: 6, targets: ['query'] },
      { id: 'ia3', outputs: ['query'], inputs: [] },
    ];
    const method = [
      { id: 'union', parts },
      { id: 'union', parts: [...parts, { id: 'pasta' }] },
    ];
    const file = bench.configure('a', { task, matrix: { method }, training: { steps: 20, evaluateEvery: 20 } });
    expect((await bench.run('run', file)).code).toBe(0);
    const [folding = '', staying = ''] = bench.ids();

    expect((await bench.run('export', folding, 'folded')).code).toBe(0);
    const [before, after] = await Promise.all([
      openEncoder(join(bench.folder, 'model')),
      openEncoder(join(bench.folder, 'folded')),
    ]);
    const head = ['classifier.weight', 'classifier.bias'];
    expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys(), ...head].sort());
    const { values } = await readCheckpoint(join(bench.runFolder(folding), 'checkpoints', 'last.safetensors'));
    for (const layer of [0, 1]) {
      const name = `encoder.layer.${layer}.attention.self.query.weight`;
      const [weight, written] = [await numbers(before, name), await numbers(after, name)];
      const of = (tensor: string): Float32Array => values.get(`method.${tensor}`) ?? new Float32Array();
      const [down, up] = [of(`lora.layer.${layer}.query.lora_A`), of(`lora.layer.${layer}.query.lora_B`)];
      const scale = of(`ia3.layer.${layer}.query.scale`);
      const expected = weight.map((value, at) => {
        const [row, column] = [Math.floor(at / 16), at % 16];
        const update = [0, 1].reduce((sum, r) => sum + (up[2 * row + r] ?? NaN) * (down[16 * r + column] ?? NaN), 0);
        return (scale[row] ?? NaN) * (value + 3 * update);
      });
      expect(Math.max(...written.map((value, at) => Math.abs(value - (expected[at] ?? NaN))))).toBeLessThan(1e-5);
      expect(Math.max(...written.map((value, at) => Math.abs(value - (weight[at] ?? NaN))))).toBeGreaterThan(1e-3);
      const other = `encoder.layer.${layer}.attention.self.key.weight`;
      expect(await numbers(after, other)).toEqual(await numbers(before, other));
    }

    const refused = await bench.run('export', staying, 'no');
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('union has parts that stay: pasta shifts the special tokens alone');
  });

  test('are refused where two parts put rows into the text', async () => {
    const method = { id: 'union', parts: [{ id: 'warp' }, { id: 'prompt-tuning' }] };
    const { code, err } = await bench.run('run', bench.configure('a', { task, method }));
    expect(code).not.toBe(0);
    expect(err).toContain('warp and prompt-tuning both put rows into the sequence');
  });
});
