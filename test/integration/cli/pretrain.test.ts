import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openEncoder } from '../../../src/engine/encoder-checkpoint.ts';
import { loadSplit } from '../../../src/tasks/read/load.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { sampleFolder } from '../../../src/tasks/sample-data.ts';
import { makeBench, type Bench } from '../../support/cli.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
  const task = findTask('wordnet-supersense');
  const { examples } = await loadSplit(task, sampleFolder(task) ?? '', 'dev');
  writeFileSync(join(bench.folder, 'text.txt'), examples.map(({ text }) => `${text}\n`).join(''));
  writeFileSync(
    join(bench.folder, 'sizes.json'),
    JSON.stringify({
      model_type: 'bert',
      vocab_size: 1,
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      max_position_embeddings: 40,
      type_vocab_size: 2,
    }),
  );
});

afterEach(() => {
  bench.remove();
});

const quick = ['--set', 'task.maxLength=32', '--set', 'device={"provider":"cpu","threads":1}'];
const steps = (n: number): readonly string[] => ['--set', `training.steps=${n}`, '--set', 'training.batchSize=8'];

describe('pretrain', () => {
  test('from scratch: learns a vocabulary, trains, writes a model that a task then trains from', async () => {
    const made = await bench.run(
      'pretrain',
      'text.txt',
      '--from-scratch',
      'sizes.json',
      '--vocabulary-size',
      '400',
      '--out',
      'encoder',
      ...quick,
      ...steps(12),
    );
    expect(made.err).not.toContain('peft-lab:');
    expect(made.code).toBe(0);
    const encoder = await openEncoder(join(bench.folder, 'encoder'));
    expect(encoder.config.vocabularySize).toBe(400);
    expect(encoder.hasWordHead).toBe(true);
    const [id = ''] = bench.ids();
    const evaluation = bench.events(id).findLast((event) => event.type === 'evaluation');
    expect(evaluation?.loss).toBeLessThan(Math.log(400));
    expect(evaluation?.metrics['maskedAccuracy']).toBeGreaterThanOrEqual(0);

    const tagging = bench.configure('tagging', {
      model: 'encoder',
      task: { id: 'usage-tagging', maxLength: 40 },
      method: 'head',
      training: { steps: 3, batchSize: 4, evaluateEvery: 3, examples: 40 },
    });
    const trained = await bench.run('run', tagging);
    expect(trained.code).toBe(0);
    const metrics = bench.events(bench.ids()[1] ?? '').findLast((event) => event.type === 'evaluation')?.metrics;
    expect(Object.keys(metrics ?? {})).toContain('entityF1');

    const tagger = await bench.run('export', bench.ids()[1] ?? '', 'tagger');
    expect(tagger.code).toBe(0);
    expect(tagger.err).toContain('loads as BertForTokenClassification');
  });

  test("goes on with a task's own texts, and says what a checkpoint lacks; a seed gives the same numbers again", async () => {
    const task = bench.configure('task');
    const asked = ['pretrain', task, ...quick, ...steps(6), '--set', 'training.accumulation=2'];
    expect((await bench.run(...asked)).code).toBe(0);
    expect((await bench.run(...asked)).code).toBe(0);
    const [first = '', second = ''] = bench.ids();
    expect(bench.numbers(second)).toEqual(bench.numbers(first));
    const warnings = bench.events(first).flatMap((event) => (event.type === 'log' ? [event.message] : []));
    expect(warnings.join()).toContain('lacks what predicts masked words');
    const configuration = JSON.parse(readFileSync(join(bench.runFolder(first), 'config.json'), 'utf8')) as {
      task: { id: string; textsOf: string };
    };
    expect(configuration.task).toMatchObject({ id: 'mlm', textsOf: 'sst2' });
    const exported = await bench.run('export', first, 'adapted', '--precision', 'float16');
    expect(exported.code).toBe(0);
    expect(exported.err).toContain('loads as BertForMaskedLM');
    expect((await openEncoder(join(bench.folder, 'adapted'))).hasWordHead).toBe(true);

    const again = await bench.run('export', first, 'adapted');
    expect(again.code).toBe(2);
    expect(again.err).toContain('--overwrite');
    expect((await bench.run('export', first, 'adapted', '--overwrite')).code).toBe(0);
    // The model that the run began from is not replaced, by whatever way it is reached.
    const weights = join(bench.folder, 'model', 'model.safetensors');
    const before = readFileSync(weights);
    mkdirSync(join(bench.folder, 'linked'));
    symlinkSync(weights, join(bench.folder, 'linked', 'model.safetensors'));
    const unmakeable = process.platform === 'linux' ? ['/proc/nowhere/model'] : [];
    for (const target of ['model', 'linked', 'text.txt', ...unmakeable]) {
      const refused = await bench.run('export', first, target, '--overwrite');
      expect([refused.code, refused.out]).toEqual([2, '']);
      expect(refused.err).not.toMatch(/^\s+at /m);
    }
    expect(readFileSync(weights)).toEqual(before);
    const early = await bench.run('pretrain', task, '--out', 'model');
    expect(early.code).toBe(2);
    const nowhere = await bench.run('pretrain', task, '--out', '', '--overwrite');
    expect([nowhere.code, nowhere.err.includes('there is no folder ""')]).toEqual([2, true]);
    expect(bench.ids()).toHaveLength(2);
  });

  test('tells what is missing', async () => {
    const none = await bench.run('pretrain', 'text.txt');
    expect(none.code).toBe(2);
    expect(none.err).toContain('--from-scratch');
    const both = await bench.run('pretrain', 'text.txt', '--model', 'model', '--from-scratch', 'sizes.json');
    expect(both.code).toBe(2);
    const words = await bench.run('pretrain', 'text.txt', '--model', 'model', '--words-of', 'model');
    expect(words.code).toBe(2);
    expect(words.err).toContain('--words-of needs --from-scratch');
    const pieces = await bench.run('pretrain', 'text.txt', '--model', 'model', '--vocabulary-size', '500');
    expect([pieces.code, pieces.err]).toEqual([2, expect.stringContaining('--vocabulary-size needs --from-scratch')]);
    const nowhere = await bench.run('pretrain', 'text.txt', '--from-scratch', 'sizes.json', '--words-of', './nowhere');
    expect(nowhere.code).toBe(2);
    expect(nowhere.err).toContain('no such folder');
    const wrong = bench.configure('wrong', { task: { id: 'sst2', data: 'data', masking: { rate: 0.2 } } });
    const refused = await bench.run('run', wrong);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('task.masking is only for the task mlm');
  }, 60_000);
});
