import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEncoder } from '../../src/engine/encoder-checkpoint.ts';
import { readTensors } from '../../src/engine/safetensors.ts';
import { loadTokenizer } from '../../src/engine/tokenizers/load.ts';
import { makeTinyEncoder } from '../support/tiny-encoder.ts';

const script = join(import.meta.dirname, '..', '..', 'scripts', 'corpus', 'prune-encoder.ts');

let scratch: string;
let teacher: Awaited<ReturnType<typeof makeTinyEncoder>>;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'prune-'));
  teacher = await makeTinyEncoder();
});

afterAll(async () => {
  await teacher.remove();
  await rm(scratch, { recursive: true });
});

it('keeps the named layers, the neurons with the greatest weights, and the most frequent pieces', async () => {
  const { config } = await openEncoder(teacher.folder);
  const pieces = await loadTokenizer(teacher.folder);
  const frequent = Array.from({ length: pieces.vocabularySize }, (_, id) => pieces.idToToken(id) ?? '').findLast(
    (piece) => /^[a-z]{3,}$/u.test(piece),
  );
  await writeFile(join(scratch, 'text.txt'), `${frequent} ${frequent}\n`.repeat(50));
  const output = join(scratch, 'small');
  const sizes = [
    '--layers',
    '1',
    '--intermediate',
    '5',
    '--vocabulary',
    String(pieces.vocabularySize - 4),
    '--positions',
    '9',
  ];
  await promisify(execFile)(process.execPath, [script, teacher.folder, join(scratch, 'text.txt'), output, ...sizes]);

  const small = await openEncoder(output);
  expect(small.config).toMatchObject({
    hiddenSize: config.hiddenSize,
    layers: 1,
    intermediateSize: 5,
    vocabularySize: pieces.vocabularySize - 4,
    maxPositions: 9,
  });
  expect(small.hasWordHead).toBe(true);

  const full = await readTensors(join(teacher.folder, 'model.safetensors'));
  const kept = await readTensors(join(output, 'model.safetensors'));
  const of = (all: typeof full, layer: number, name: string): Float32Array =>
    [...all].find(([key]) => key.endsWith(`layer.${layer}.${name}`))?.[1].data as Float32Array;
  for (const name of ['attention.self.query.weight', 'attention.output.LayerNorm.bias', 'output.dense.bias'])
    expect(of(kept, 0, name)).toEqual(of(full, 1, name));

  const width = config.hiddenSize;
  const wide = config.intermediateSize;
  const [up, down] = [of(full, 1, 'intermediate.dense.weight'), of(full, 1, 'output.dense.weight')];
  const weight = (neuron: number): number =>
    Math.hypot(...up.subarray(neuron * width, (neuron + 1) * width)) *
    Math.hypot(...Array.from({ length: width }, (_, row) => down[row * wide + neuron] ?? 0));
  const neurons = Array.from({ length: wide }, (_, neuron) => neuron)
    .sort((a, b) => weight(b) - weight(a))
    .slice(0, 5)
    .sort((a, b) => a - b);
  const [smallUp, smallDown] = [of(kept, 0, 'intermediate.dense.weight'), of(kept, 0, 'output.dense.weight')];
  for (const [at, neuron] of neurons.entries()) {
    expect(smallUp.subarray(at * width, (at + 1) * width)).toEqual(up.subarray(neuron * width, (neuron + 1) * width));
    for (let row = 0; row < width; row++) expect(smallDown[row * 5 + at]).toBe(down[row * wide + neuron]);
  }

  const tokenizer = await loadTokenizer(output);
  expect(tokenizer.specialTokens.cls.id).toBe(2);
  const [own, before] = [tokenizer.tokenToId(frequent ?? ''), pieces.tokenToId(frequent ?? '')];
  const words = 'bert.embeddings.word_embeddings.weight';
  const row = (table: Float32Array, id = -1): Float32Array => table.subarray(id * width, (id + 1) * width);
  expect(row(kept.get(words)?.data as Float32Array, own)).toEqual(row(full.get(words)?.data as Float32Array, before));
});
