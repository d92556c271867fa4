import { beforeAll, describe, expect, it } from 'vitest';
import { join } from 'node:path';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { assembleBatch } from '../../../src/engine/data/batches.ts';
import { encodeWordDataset, type Dataset } from '../../../src/engine/data/dataset.ts';
import { frozenWeights, startValues } from '../../../src/engine/encoder-checkpoint.ts';
import { evaluate } from '../../../src/engine/evaluate.ts';
import { buildModel, gradientsOf } from '../../../src/engine/model-graph.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';
import { computeGradient, trainedFeeds } from '../../../src/engine/training-step.ts';
import { modelPlanOf, type TrainingSetup } from '../../../src/engine/training-setup.ts';
import { loadSplit } from '../../../src/tasks/read/load.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { sampleFolder } from '../../../src/tasks/sample-data.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';
import { plainSettings } from '../../support/training-settings.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/tokenizers');
const task = findTask('usage-tagging');

describe('labels of words', () => {
  it.each(['bert_uncased', 'roberta_bpe'])(
    '%s: words are tokenised as in the text, and each token knows its word',
    async (name) => {
      const tokenizer = await loadTokenizer(join(fixtures, name));
      const words = ['The', 'embeddings', 'are', 'unbelievably', 'good', '.'];
      const { ids, wordOf, special, typeIds } = tokenizer.encodeWords(words, 'a second text', 64);
      const text = tokenizer.encode(words.join(' '), 'a second text');
      // Byte-level models see no blank before the full stop in the text, and one before a word that is given.
      if (name === 'bert_uncased') {
        expect([...ids]).toEqual([...text.ids]);
        expect([...typeIds]).toEqual([...text.typeIds]);
      }
      expect([...wordOf].filter((word, at) => word >= 0 && wordOf[at - 1] !== word)).toEqual([0, 1, 2, 3, 4, 5]);
      expect([...special].every((mark, at) => mark === 0 || wordOf[at] === -1)).toBe(true);
      for (const [index, word] of words.entries()) {
        const own = [...ids].filter((_, at) => wordOf[at] === index);
        expect(tokenizer.decode(own).trim()).toBe(name === 'bert_uncased' ? word.toLowerCase() : word);
      }
    },
  );

  it('stand at the first token of a word and nowhere else; what is cut off has none', async () => {
    const tokenizer = await loadTokenizer(join(fixtures, 'bert_uncased'));
    const example = { text: '', label: 0, words: { texts: ['unbelievably', 'good', 'day'], labels: [1, 0, 2] } };
    const whole = encodeWordDataset([example], tokenizer.encodeWords, 64);
    expect([...(whole.tokenLabels ?? [])].filter((label) => label !== -100)).toEqual([1, 0, 2]);
    expect(whole.tokenLabels?.[0]).toBe(-100);
    expect(whole.tokenLabels?.[1]).toBe(1);
    const cut = encodeWordDataset([example], tokenizer.encodeWords, 4);
    expect(cut.tokenLabels).toHaveLength(4);
    expect(cut.tokenLabels?.[1]).toBe(1);
    expect(cut.tokenLabels?.[3]).toBe(-100);
  });
});

const checkpoint = await openTinyEncoder();

describe('training on labels of words', () => {
  let data: Dataset;

  beforeAll(async () => {
    const { examples } = await loadSplit(task, sampleFolder(task) ?? '', 'dev');
    // The tiny encoder knows some dozens of pieces: words are hashed onto them, in one to three pieces each.
    const encode = (words: readonly string[]) => {
      const pieces = words.flatMap((word, index) =>
        Array.from({ length: 1 + (word.length % 3) }, (_, i) => ({
          id: 10 + ((word.length * 7 + i * 3 + word.charCodeAt(0)) % 40),
          index,
        })),
      );
      const ids = [2, ...pieces.map(({ id }) => id), 3].slice(0, 40);
      return {
        ids,
        typeIds: ids.map(() => 0),
        wordOf: ids.map((_, at) => (at === 0 ? -1 : (pieces[at - 1]?.index ?? -1))),
      };
    };
    data = encodeWordDataset(examples.slice(0, 24), encode, 40);
  });

  const setupOf = (): TrainingSetup => ({
    checkpoint,
    method: { id: 'full', options: {} },
    task,
    train: data,
    evaluations: [{ split: 'dev', dataset: data }],
    settings: {
      ...plainSettings,
      length: { kind: 'steps', steps: 1 },
      batchSize: 8,
      learningRate: 1e-3,
      schedule: 'linear',
    },
    backend: onnxBackend,
    device: { provider: 'cpu', threads: 2, reason: 'test' },
    maskToken: undefined,
  });

  it('a step of several batches has the gradient of one batch of all', async () => {
    const setup = setupOf();
    const model = buildModel(modelPlanOf(setup), { dropout: 'off' });
    const values = await startValues(model, checkpoint, 0);
    const executable = await onnxBackend.compile(
      { loss: model.loss, ...gradientsOf(model) },
      frozenWeights(model, checkpoint, 0),
      setup.device,
    );
    const indices = Uint32Array.from({ length: 24 }, (_, i) => i);
    const feeds = trainedFeeds(model, values);
    const gradient = (batches: readonly Uint32Array[]) =>
      computeGradient({ setup, model, executable, feeds }, batches, 1);
    const one = await gradient([indices]);
    const several = await gradient([indices.subarray(0, 5), indices.subarray(5, 6), indices.subarray(6)]);
    await executable.dispose();
    expect(several.loss).toBeCloseTo(one.loss, 5);
    expect(several.norm / one.norm).toBeCloseTo(1, 4);
    const counts = [0, 5, 23].map((at) => {
      const { labels } = assembleBatch(data, indices.subarray(at, at + 1), { padId: 0 });
      return labels.filter((label) => label !== -100).length;
    });
    expect(new Set(counts).size).toBeGreaterThan(1);
  });

  it('evaluation gives the mean loss over the words and the metrics of the task, whatever the batch size', async () => {
    const setup = setupOf();
    const model = buildModel(modelPlanOf(setup), { dropout: 'off' });
    const { logits } = model.outputs;
    if (logits === undefined) throw new Error('no logits');
    const executable = await onnxBackend.compile(
      { logits, losses: model.losses },
      frozenWeights(model, checkpoint, 0),
      setup.device,
    );
    const feeds = trainedFeeds(model, await startValues(model, checkpoint, 0));
    const run = (batchSize: number) =>
      evaluate(executable, task, data, feeds, {
        batchSize,
        config: checkpoint.config,
        maskToken: undefined,
        specialTokens: 0,
      });
    const [small, large] = [await run(3), await run(24)];
    await executable.dispose();
    expect(small.metrics).toEqual(large.metrics);
    expect(small.loss).toBeCloseTo(large.loss, 5);
    expect(Object.keys(small.metrics).sort()).toEqual([
      'accuracy',
      'entityF1',
      'entityPrecision',
      'entityRecall',
      'score',
    ]);
    expect(small.loss).toBeGreaterThan(0.5);
    expect(small.loss).toBeLessThan(2);
  });
});
