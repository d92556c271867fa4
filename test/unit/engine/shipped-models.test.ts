import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openEncoder } from '../../../src/engine/encoder-checkpoint.ts';
import { listLocalModels, resolveModel } from '../../../src/engine/model-folder.ts';
import { readTensors } from '../../../src/engine/safetensors.ts';
import { shippedModelFolder, shippedModels } from '../../../src/engine/shipped-models.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';

const name = 'peft-lab-mini';
const folder = shippedModelFolder(name) ?? '';

describe('the encoder that ships', () => {
  it('is a model by its name alone, on any machine, and listed first', async () => {
    expect(shippedModels()).toEqual([name]);
    const model = await resolveModel(name);
    expect(model).toMatchObject({ name, path: folder, origin: { kind: 'shipped' } });
    const [first] = await listLocalModels({ cacheDir: join(folder, 'none') });
    expect(first).toMatchObject({ name, source: 'shipped', family: 'bert', problem: undefined });
  });

  it('is found by no other name, and none that leads out of its folder', () => {
    for (const other of ['peft-lab', '', '.', '..', `../models/${name}`, `${name}/`, 'SHIPPED.md'])
      expect(shippedModelFolder(other)).toBeUndefined();
  });

  it('weighs at most 12 MB, all files together, in float16 numbers that are finite', async () => {
    const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
    expect(bytes).toBeLessThanOrEqual(12e6);
    const { tensors } = await openEncoder(folder);
    expect(new Set([...tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['F16']));
    for (const { data } of (await readTensors(join(folder, 'model.safetensors'))).values())
      expect(data instanceof Float32Array && data.every((value) => Number.isFinite(value))).toBe(true);
  });

  it('predicts words, and cuts any ASCII text into pieces that it knows', async () => {
    const { hasWordHead, config } = await openEncoder(folder);
    expect(hasWordHead).toBe(true);
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer.vocabularySize).toBe(config.vocabularySize);
    const ascii = Array.from({ length: 94 }, (_, at) => String.fromCharCode(33 + at));
    const { tokens } = tokenizer.encode(
      `${ascii.join(' ')} x${ascii.slice(32).join('')} Qxzj${ascii.slice(15, 25).join('')}`,
    );
    expect(tokens).not.toContain('[UNK]');
  });
});
