import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CompileOptions, GraphCache, TensorData } from '../../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../../src/engine/backends/onnx/onnx-backend.ts';
import { keep } from '../../../../src/engine/checked-cache.ts';
import { writeSafetensors } from '../../../../src/engine/safetensors.ts';
import { input, matmul, multiply, weight } from '../../../../src/engine/graph/operations.ts';
import { methodStep, type MethodStep } from '../../../support/every-method.ts';
import { device } from '../../../support/method-model.ts';
import { openTinyEncoder } from '../../../support/tiny-checkpoint.ts';
import { floats } from './agreement.ts';

const checkpoint = await openTinyEncoder();

function makeCache(weights = 'sha256:1'): GraphCache {
  const folder = mkdtempSync(join(tmpdir(), 'graphs-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return { folder: join(folder, 'graphs'), limitBytes: 1 << 26, weights };
}

function filesIn({ folder }: GraphCache): readonly string[] {
  return readdirSync(folder).map((name) => join(folder, name));
}

async function compute(
  { outputs, weights, feeds }: Pick<MethodStep, 'outputs' | 'weights' | 'feeds'>,
  more: Partial<CompileOptions>,
): Promise<Readonly<Record<string, TensorData>>> {
  const executable = await onnxBackend.compile(outputs, weights, { ...device, ...more });
  try {
    return await executable.run(feeds);
  } finally {
    await executable.dispose();
  }
}

describe('a compiled graph that is kept for the next run', () => {
  test.each(['lora', 'unipelt', 'full'])('of %s computes the same numbers bit for bit', async (id) => {
    const graphs = makeCache();
    const step = await methodStep(checkpoint, id, 'plain');
    const alone = await compute(step, {});
    expect(await compute(step, { graphs })).toEqual(alone);
    const [file = '', ...others] = filesIn(graphs);
    expect(others).toEqual([]);
    // No weights are in it.
    expect(statSync(file).size).toBeLessThan(300_000);
    const { ino } = statSync(file);
    expect(await compute(step, { graphs })).toEqual(alone);
    expect(statSync(file).ino).toBe(ino);
  });

  test('is what is computed with, and another graph, other weights and another provider are not it', async () => {
    const graphs = makeCache();
    const x = input('x', 'float32', [2]);
    const doubled = { outputs: { y: multiply(x, input('by', 'float32', [2])) }, weights: new Map() };
    const feeds = { x: floats([2], [1, 2]), by: floats([2], [3, 4]) };
    await compute({ ...doubled, feeds }, { graphs });
    const [file = ''] = filesIn(graphs);
    const other = { outputs: { y: multiply(x, x) }, weights: new Map(), feeds };
    expect((await compute(other, { graphs })).y).toEqual(floats([2], [1, 4]));
    expect(filesIn(graphs)).toHaveLength(2);
    // As nobody should: the one in the place of the other.
    const [second = ''] = filesIn(graphs).filter((each) => each !== file);
    writeFileSync(second, readFileSync(file));
    expect((await compute(other, { graphs })).y).toEqual(floats([2], [3, 8]));
    expect((await compute(other, { graphs: { ...graphs, weights: 'sha256:2' } })).y).toEqual(floats([2], [1, 4]));
    expect(filesIn(graphs)).toHaveLength(3);
    expect((await compute(other, { graphs, profile: join(graphs.folder, 'profile') })).y).toEqual(floats([2], [1, 4]));
  });

  test('that is damaged, no graph, or cannot be written changes nothing', async () => {
    const graphs = makeCache();
    const step = await methodStep(checkpoint, 'lora', 'plain');
    const alone = await compute(step, { graphs });
    const [file = ''] = filesIn(graphs);
    const whole = readFileSync(file);
    const flipped = Buffer.from(whole);
    flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 1;
    for (const content of [Buffer.alloc(0), whole.subarray(0, whole.length >> 1), flipped]) {
      writeFileSync(file, content);
      expect(await compute(step, { graphs })).toEqual(alone);
      expect(readFileSync(file).equals(content)).toBe(false);
    }
    const key = file.slice(graphs.folder.length + 1).replace(/\.graph$/, '');
    await keep(graphs, { magic: 'PEFTONX1', ending: '.graph' }, key, Buffer.from('no graph'));
    expect(await compute(step, { graphs })).toEqual(alone);
    const blocked = { ...graphs, folder: join(file, 'below') };
    expect(await compute(step, { graphs: blocked })).toEqual(alone);
    expect(filesIn(graphs)).toHaveLength(1);
  });

  test('is not kept where it would hold a copy of weights that are widened', async () => {
    const graphs = makeCache();
    const file = join(graphs.folder, '..', 'model.safetensors');
    await writeSafetensors(file, new Map([['w', { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }]]));
    const { size } = statSync(file);
    const at = { kind: 'file', file, shape: [2, 2] } as const;
    const outputs = { y: matmul(input('x', 'float32', [1, 2]), weight('w', [2, 2])) };
    const feeds = { x: floats([1, 2], [1, 1]) };
    const halves = new Map([['w', { ...at, dtype: 'F16', offset: size - 8, byteLength: 8 } as const]]);
    await compute({ outputs, weights: halves, feeds }, { graphs });
    expect(() => filesIn(graphs)).toThrow('ENOENT');
    const whole = new Map([['w', { ...at, dtype: 'F32', offset: size - 16, byteLength: 16 } as const]]);
    expect((await compute({ outputs, weights: whole, feeds }, { graphs })).y).toEqual(floats([1, 2], [4, 6]));
    expect(filesIn(graphs)).toHaveLength(1);
  });
});
