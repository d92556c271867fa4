import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { assembleBatch } from '../../../src/engine/data/batches.ts';
import { batchFeeds } from '../../../src/engine/feeds.ts';
import { prepareTraining, type PreparedTraining } from '../../../src/engine/prepare.ts';
import { makeTinyEncoder, tinyConfigJson } from '../../support/tiny-encoder.ts';
import { plainSettings } from '../../support/training-settings.ts';

describe('a training in 8 bits, made ready', () => {
  let folder: string;
  let encoder: Awaited<ReturnType<typeof makeTinyEncoder>>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'prepare-'));
    encoder = await makeTinyEncoder();
    for (const split of ['train', 'dev'])
      await writeFile(join(folder, `${split}.tsv`), 'sentence\tlabel\nword1 word2\t0\nword3 word4\t1\n');
  });

  afterAll(async () => {
    await encoder.remove();
    await rm(folder, { recursive: true });
  });

  const prepared = (
    method: string,
    frozenPrecision: 'float32' | 'int8',
    options: Readonly<Record<string, unknown>> = {},
    precision: 'float32' | 'float16' = 'float32',
  ): Promise<PreparedTraining> =>
    prepareTraining({
      model: { id: encoder.folder },
      task: { id: 'sst2', data: folder, maxLength: 16 },
      method: { id: method, options },
      settings: {
        ...plainSettings,
        length: { kind: 'steps', steps: 1 },
        batchSize: 2,
        learningRate: 1e-3,
        frozenPrecision,
        precision,
      },
      examples: undefined,
      // Where 8 bits decide nothing is tried.
      device: { provider: frozenPrecision === 'int8' ? 'auto' : 'cpu', threads: 1 },
    });

  it('takes the CPU where the device is left to it', async () => {
    const { setup, warnings } = await prepared('lora', 'int8');
    expect(setup.device).toMatchObject({ provider: 'cpu', reason: 'automatic: only the CPU computes in 8 bits' });
    expect(warnings).toEqual([]);
  });

  it('warns that the CPU does not compute in float16, and trains', async () => {
    const { setup, warnings } = await prepared('lora', 'float32', {}, 'float16');
    expect(setup.settings.precision).toBe('float16');
    expect(warnings).toEqual([
      'training.precision is "float16", which the CPU does not compute in: it rounds some numbers to it and is slower than with "float32"',
    ]);
  });

  it('warns of a method whose gradients it changes most, and of no other', async () => {
    const rows = { length: 2 };
    const { warnings } = await prepared('prompt-tuning', 'int8', rows);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^prompt-tuning trains rows at the encoder's input.*frozenPrecision "float32"$/);
    expect((await prepared('prompt-tuning', 'float32', rows)).warnings).toEqual([]);
  });
});

describe('masked words, made ready', () => {
  it('are refused of a model that predicts words with a map of its own, and where what predicts them is not trained', async () => {
    const encoder = await makeTinyEncoder();
    try {
      const config = join(encoder.folder, 'config.json');
      const data = join(encoder.folder, 'text.txt');
      await writeFile(data, `${'the film is good and the plot is bright '.repeat(4)}\n`.repeat(3));
      await writeFile(config, JSON.stringify({ ...tinyConfigJson, tie_word_embeddings: false }));
      const request = {
        model: { id: encoder.folder },
        task: { id: 'mlm', data, maxLength: 16 },
        method: { id: 'full', options: {} },
        settings: { ...plainSettings, length: { kind: 'steps', steps: 1 }, batchSize: 2, learningRate: 1e-3 },
        examples: undefined,
        device: { provider: 'cpu', threads: 1 },
      } as const;
      await expect(prepareTraining(request)).rejects.toThrow(`${config}: tie_word_embeddings is false`);
      await writeFile(config, JSON.stringify(tinyConfigJson));
      expect((await prepareTraining(request)).setup.task.id).toBe('mlm');
      // The tiny encoder was saved without what predicts words, and has no head of the task's own.
      for (const [id, problem] of [
        ['lora', 'the checkpoint lacks what predicts masked words (saved without it), and lora does not train that'],
        ['bitfit', 'and bitfit does not train that'],
        ['head', 'masked words are predicted without one'],
      ] as const) {
        const refused = prepareTraining({ ...request, method: { id, options: {} } });
        await expect(refused).rejects.toBeInstanceOf(UserError);
        await expect(refused).rejects.toThrow(problem);
      }
    } finally {
      await encoder.remove();
    }
  });
});

describe('pairs of texts, made ready', () => {
  it('are one type of tokens to a model that knows no other, whatever its tokenizer tells apart', async () => {
    const encoder = await makeTinyEncoder({ model_type: 'roberta', type_vocab_size: 1 });
    try {
      const rows = 'sentence1\tsentence2\tlabel\nthe film\tthe cast\t0\n';
      for (const split of ['train', 'dev']) await writeFile(join(encoder.folder, `${split}.tsv`), rows);
      const { setup } = await prepareTraining({
        model: { id: encoder.folder },
        task: { id: 'mrpc', data: encoder.folder, maxLength: 16 },
        method: { id: 'bitfit', options: {} },
        settings: { ...plainSettings, length: { kind: 'steps', steps: 1 }, batchSize: 1, learningRate: 1e-3 },
        examples: undefined,
        device: { provider: 'cpu', threads: 1 },
      });
      expect(setup.train.typeIds).toContain(1);
      const batch = assembleBatch(setup.train, Uint32Array.of(0), { padId: 1 });
      expect([...(batchFeeds(batch, setup.checkpoint.config, undefined)['token_type_ids']?.data ?? [])]).toEqual(
        Array.from({ length: batch.shape[1] }, () => 0),
      );
    } finally {
      await encoder.remove();
    }
  });
});
