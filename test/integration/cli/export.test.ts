import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { openEncoder } from '../../../src/engine/encoder-checkpoint.ts';
import { predict } from '../../../src/engine/predict.ts';
import { readTensors } from '../../../src/engine/safetensors.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { outputCount } from '../../../src/tasks/task.ts';
import { makeBench, program, type Bench } from '../../support/cli.ts';

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

  test('writes adapters of Hugging Face PEFT, and a prefix that a network made as flat rows', async () => {
    const method = [
      { id: 'lora', rank: 2, alpha: 6, targets: ['query', 'output'], layers: [1] },
      { id: 'ia3' },
      { id: 'prefix-tuning', length: 3, reparametrise: true, bottleneck: 8, shiftPositions: true },
      { id: 'prompt-tuning', length: 3, enter: 'before-embedding', headReads: 'unshifted' },
    ];
    const task = { id: 'sst2', data: 'data', maxLength: 24 };
    expect((await bench.run('run', bench.configure('a', { task, matrix: { method }, training: short }))).code).toBe(0);
    const configs: Readonly<Record<string, unknown>>[] = [];
    const tensors: Awaited<ReturnType<typeof readTensors>>[] = [];
    for (const [index, id] of bench.ids().entries()) {
      const folder = join(bench.folder, `adapter-${index}`);
      expect((await bench.run('export', id, folder, '--format', 'peft')).code).toBe(0);
      const text = readFileSync(join(folder, 'adapter_config.json'), 'utf8');
      configs.push(JSON.parse(text) as Readonly<Record<string, unknown>>);
      tensors.push(await readTensors(join(folder, 'adapter_model.safetensors')));
    }
    const common = { task_type: 'SEQ_CLS', modules_to_save: ['classifier'], inference_mode: true };
    const base = join(bench.folder, 'model');
    expect(configs[0]).toMatchObject({
      ...{ ...common, peft_type: 'LORA', r: 2, lora_alpha: 6, base_model_name_or_path: base },
      target_modules: String.raw`.*\bencoder\.layer\.(?:1)\.(?:attention\.self\.query|output\.dense)`,
    });
    expect(configs[1]).toMatchObject({ ...common, peft_type: 'IA3' });
    expect(configs[2]).toMatchObject({ ...common, peft_type: 'PREFIX_TUNING', num_virtual_tokens: 3 });
    expect(configs[3]).toMatchObject({ ...common, peft_type: 'PROMPT_TUNING', num_virtual_tokens: 3 });
    const shapes = tensors.map((each) => new Map([...each].map(([name, { shape }]) => [name, shape])));
    const layer = 'base_model.model.bert.encoder.layer';
    type Shapes = readonly (readonly [name: string, shape: readonly number[]])[];
    const headIn = (place: string): Shapes => [
      [`${place}.classifier.weight`, [2, 16]],
      [`${place}.classifier.bias`, [2]],
    ];
    const rowsOf = (width: number): Shapes => [['prompt_embeddings', [3, width]], ...headIn('base_model')];
    expect(shapes[0]).toEqual(
      new Map<string, readonly number[]>([
        [`${layer}.1.attention.self.query.lora_A.weight`, [2, 16]],
        [`${layer}.1.attention.self.query.lora_B.weight`, [16, 2]],
        [`${layer}.1.output.dense.lora_A.weight`, [2, 32]],
        [`${layer}.1.output.dense.lora_B.weight`, [16, 2]],
        ...headIn('base_model.model'),
      ]),
    );
    expect(shapes[1]?.get(`${layer}.0.attention.self.key.ia3_l`)).toEqual([16, 1]);
    expect(shapes[1]?.get(`${layer}.0.output.dense.ia3_l`)).toEqual([1, 32]);
    expect(shapes[2]).toEqual(new Map(rowsOf(64)));
    expect(shapes[3]).toEqual(new Map(rowsOf(16)));

    // The rows do by themselves what the network and its rows did.
    const [, , prefix = ''] = bench.ids();
    const floats = (name: string): Float32Array => {
      const data = tensors[2]?.get(name)?.data;
      if (!(data instanceof Float32Array)) throw new Error(`no ${name}`);
      return data;
    };
    const { predictions } = await predict(
      {
        checkpoint: await openEncoder(base),
        method: { id: 'prefix-tuning', options: { length: 3, shiftPositions: true } },
        task: findTask('sst2'),
        values: new Map([
          ['method.prefix.rows', floats('prompt_embeddings')],
          ['head.classifier.weight', floats('base_model.classifier.weight')],
          ['head.classifier.bias', floats('base_model.classifier.bias')],
        ]),
        tokenizer: await loadTokenizer(base),
        maxLength: 32,
        settings: { batchSize: 8, seed: 0 },
        backend: onnxBackend,
        device: { provider: 'cpu', threads: 1, reason: 'asked for' },
      },
      [{ text: 'the cat sat', label: -1 }],
    );
    const { out } = await bench.run('--json', 'predict', prefix, '--at', 'last', '--text', 'the cat sat');
    const [own] = (JSON.parse(out) as { predictions: { probabilities: Record<string, number> }[] }).predictions;
    const [first] = predictions;
    const probabilities = first?.kind === 'class' ? first.probabilities : [];
    expect(probabilities[1]).toBeCloseTo(own?.probabilities['positive'] ?? NaN, 5);
  });

  test('says what Hugging Face PEFT computes otherwise', async () => {
    const method = [
      { id: 'prefix-tuning', length: 3 },
      { id: 'prompt-tuning', length: 3 },
      { id: 'prompt-tuning', length: 3, enter: 'before-embedding' },
      { id: 'lora', rank: 2, head: 'linear' },
      { id: 'ia3', outputs: ['key'], inputs: ['key'] },
      { id: 'lora', rank: 2, gated: true },
      'slash',
    ];
    const task = { id: 'sst2', data: 'data', maxLength: 24 };
    const file = bench.configure('a', { task, matrix: { method }, training: { steps: 2, evaluateEvery: 2 } });
    expect((await bench.run('run', file)).code).toBe(0);
    const told: string[] = [];
    for (const id of bench.ids()) {
      const { code, out, err } = await bench.run('export', id, 'no', '--format', 'peft');
      expect([code, out]).toEqual([2, '']);
      told.push(err);
    }
    expect(told).toEqual([
      expect.stringContaining('shiftPositions set to true'),
      expect.stringContaining('enter set to "before-embedding"'),
      expect.stringContaining('headReads set to "unshifted"'),
      expect.stringContaining('head set to "native"'),
      expect.stringContaining('key has both'),
      expect.stringContaining('it has no gates'),
      expect.stringContaining('Hugging Face PEFT has no slash'),
    ]);
  });

  test('leaves nothing of another model where it writes over one: no head, no labels, no tokenizer', async () => {
    expect((await bench.run('run', bench.configure('a', { method: 'full', training: short }))).code).toBe(0);
    expect((await bench.run('export', 'latest', 'first')).code).toBe(0);
    const slash = { id: 'slash', dimension: 16 };
    const second = bench.configure('b', { model: 'first', method: slash, training: short });
    expect((await bench.run('run', second)).code).toBe(0);
    mkdirSync(join(bench.folder, 'out'));
    for (const name of ['tokenizer.json', 'config.json', 'notes.md'])
      writeFileSync(join(bench.folder, 'out', name), '{}');
    const { code, err } = await bench.run('export', 'latest', 'out', '--overwrite');
    expect(code).toBe(0);
    expect(err).toContain('without its head');
    expect((await headOf('out')).size).toBe(0);
    expect(configOf('out')['architectures']).toEqual(['BertModel']);
    expect(Object.keys(configOf('out')).filter((key) => /label|problem/u.test(key))).toEqual([]);
    expect(readdirSync(join(bench.folder, 'out')).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'notes.md',
      'tokenizer_config.json',
      'vocab.txt',
    ]);
  });

  test.skipIf(process.platform === 'win32')('keeps what a folder held where the model cannot be written', async () => {
    expect((await bench.run('run', bench.configure('a', { method: 'full', training: short }))).code).toBe(0);
    expect((await bench.run('export', 'latest', 'out')).code).toBe(0);
    const names = readdirSync(join(bench.folder, 'out'));
    const config = readFileSync(join(bench.folder, 'out', 'config.json'), 'utf8');
    // Files of a kilobyte at most, which the weights exceed.
    const limited = `trap '' XFSZ; ulimit -f 1; exec "$0" "$1" export latest out --precision float16 --overwrite`;
    const { status, stderr } = spawnSync('bash', ['-c', limited, process.execPath, program], {
      cwd: bench.folder,
      env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' },
      encoding: 'utf8',
    });
    expect(status).toBe(2);
    expect(stderr).toContain('model.safetensors');
    expect(readdirSync(join(bench.folder, 'out'))).toEqual(names);
    expect(readFileSync(join(bench.folder, 'out', 'config.json'), 'utf8')).toBe(config);
  });

  test('tells that a model without a pooler leaves no head that transformers knows, whatever was asked for', async () => {
    const settings = { model: 'peft-lab-mini', method: 'lora', training: { steps: 2 } };
    expect((await bench.run('run', bench.configure('mini', settings))).code).toBe(0);
    const whole = await bench.run('export', 'latest', 'mini');
    expect(whole).toMatchObject({ code: 0, err: expect.stringContaining('has no pooler') as unknown });
    const adapter = await bench.run('export', 'latest', 'adapter', '--format', 'peft');
    expect(adapter.code).toBe(2);
    expect(adapter.err).toMatch(/has no pooler, .*\n.*Begin from a model with a pooler/);
  });

  test('leaves out a head that transformers does not know, and refuses where nothing else was trained', async () => {
    const method = [{ id: 'slash', dimension: 16 }, { id: 'head', head: 'linear' }, { id: 'pasta' }];
    expect((await bench.run('run', bench.configure('a', { matrix: { method }, training: short }))).code).toBe(0);
    const [slash = '', linear = '', pasta = ''] = bench.ids();
    // Left by an export that was killed.
    mkdirSync(join(bench.folder, 'encoder', '.export-killed'), { recursive: true });
    const { code, err } = await bench.run('export', slash, 'encoder');
    expect(code).toBe(0);
    expect(err).toContain('without its head');
    expect(existsSync(join(bench.folder, 'encoder', '.export-killed'))).toBe(false);
    expect(configOf('encoder')['architectures']).toEqual(configOf('model')['architectures']);
    expect((await headOf('encoder')).size).toBe(0);
    const alone = await bench.run('export', linear, 'no');
    expect(alone.code).toBe(2);
    expect(alone.err).toContain('transformers has no head like its own');
    const nowhere = await bench.run('export', slash, '', '--overwrite');
    expect([nowhere.code, nowhere.out]).toEqual([2, '']);
    expect(nowhere.err).toContain('there is no folder ""');
    const staying = await bench.run('export', pasta, 'no');
    expect(staying.code).toBe(2);
    expect(staying.err).toContain("can't be written as an encoder");
  });
});
