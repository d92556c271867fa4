import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { openEncoder } from '../../../src/engine/encoder-checkpoint.ts';
import { predict } from '../../../src/engine/predict.ts';
import { readTensors } from '../../../src/engine/safetensors.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { outputCount } from '../../../src/tasks/task.ts';
import { makeBench, type Bench } from '../../support/cli.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(() => {
  bench.remove();
});

const short = { steps: 30, evaluateEvery: 30 };

function configOf(folder: string): Readonly<Record<string, unknown>> {
  return JSON.parse(readFileSync(join(bench.folder, folder, 'config.json'), 'utf8')) as Readonly<
    Record<string, unknown>
  >;
}

/** The tensors of an exported head, as a run that trains it alone calls them. */
async function headOf(folder: string): Promise<ReadonlyMap<string, Float32Array>> {
  const tensors = await readTensors(join(bench.folder, folder, 'model.safetensors'));
  return new Map(
    [...tensors].flatMap(([name, { data }]) =>
      name.startsWith('classifier.') && data instanceof Float32Array ? [[`head.${name}`, data] as const] : [],
    ),
  );
}

describe('export', () => {
  test('writes encoder and head as one model, which predicts what the run does', async () => {
    const method = [{ id: 'lora', rank: 2 }, { id: 'full' }, { id: 'bitfit' }, { id: 'head' }];
    expect((await bench.run('run', bench.configure('a', { matrix: { method }, training: short }))).code).toBe(0);
    const text = ['a fine film', 'dull and long', 'the cat sat'];
    const asked = text.flatMap((each) => ['--text', each]);
    for (const [index, id] of bench.ids().entries()) {
      const folder = `out-${index}`;
      const written = await bench.run('--json', 'export', id, folder);
      expect(JSON.parse(written.out)).toMatchObject({ run: id, architecture: 'BertForSequenceClassification' });
      expect(configOf(folder)).toMatchObject({
        architectures: ['BertForSequenceClassification'],
        id2label: { 0: 'negative', 1: 'positive' },
        label2id: { negative: 0, positive: 1 },
        problem_type: 'single_label_classification',
      });
      const path = join(bench.folder, folder);
      const { predictions, folded } = await predict(
        {
          checkpoint: await openEncoder(path),
          method: { id: 'head', options: { head: 'native' } },
          task: findTask('sst2'),
          values: await headOf(folder),
          tokenizer: await loadTokenizer(path),
          maxLength: 32,
          settings: { batchSize: 8, seed: 0 },
          backend: onnxBackend,
          device: { provider: 'cpu', threads: 1, reason: 'asked for' },
        },
        text.map((each) => ({ text: each, label: -1 })),
      );
      expect(folded).toBe(true);
      const { out } = await bench.run('--json', 'predict', id, '--at', 'last', ...asked);
      const own = (JSON.parse(out) as { predictions: { probabilities: Record<string, number> }[] }).predictions;
      const apart = predictions.flatMap((each, row) =>
        each.kind === 'class'
          ? Object.values(own[row]?.probabilities ?? {}).map((p, label) =>
              Math.abs(p - (each.probabilities[label] ?? NaN)),
            )
          : [],
      );
      expect(apart).toHaveLength(6);
      expect(Math.max(...apart)).toBeLessThan(1e-5);
    }
  });

  test('replaces the head of an earlier task, and names the labels of words', async () => {
    expect((await bench.run('run', bench.configure('a', { method: 'full', training: short }))).code).toBe(0);
    expect((await bench.run('export', 'latest', 'first')).code).toBe(0);
    const tagging = bench.configure('b', {
      model: 'first',
      task: { id: 'usage-tagging', maxLength: 40 },
      training: { steps: 3, batchSize: 4, evaluateEvery: 3, examples: 40 },
    });
    expect((await bench.run('run', tagging)).code).toBe(0);
    const { code, err } = await bench.run('export', 'latest', 'second');
    expect(code).toBe(0);
    expect(err).toContain('loads as BertForTokenClassification');
    const task = findTask('usage-tagging');
    const labels = task.kind === 'words' ? task.labels : [];
    expect(labels).toHaveLength(outputCount(task));
    expect(configOf('second')).toMatchObject({
      architectures: ['BertForTokenClassification'],
      id2label: Object.fromEntries(labels.map((label, index) => [index, label])),
    });
    const head = await headOf('second');
    expect(head.get('head.classifier.bias')).toHaveLength(labels.length);
    expect([...head.keys()].sort()).toEqual(['head.classifier.bias', 'head.classifier.weight']);
  });

  test('leaves out a head that transformers does not know, and refuses where nothing else was trained', async () => {
    const method = [{ id: 'slash', dimension: 16 }, { id: 'head', head: 'linear' }, { id: 'pasta' }];
    expect((await bench.run('run', bench.configure('a', { matrix: { method }, training: short }))).code).toBe(0);
    const [slash = '', linear = '', pasta = ''] = bench.ids();
    const { code, err } = await bench.run('export', slash, 'encoder');
    expect(code).toBe(0);
    expect(err).toContain('without its head');
    expect(configOf('encoder')['architectures']).toEqual(configOf('model')['architectures']);
    expect((await headOf('encoder')).size).toBe(0);
    const alone = await bench.run('export', linear, 'no');
    expect(alone.code).toBe(2);
    expect(alone.err).toContain('transformers has no head like its own');
    const staying = await bench.run('export', pasta, 'no');
    expect(staying.code).toBe(2);
    expect(staying.err).toContain("can't be written as an encoder");
  });
});
