import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeBench, program, type Bench } from '../../support/cli.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(() => {
  bench.remove();
});

interface Answer {
  readonly run: string;
  readonly checkpoint: { readonly at: string; readonly step: number };
  readonly folded: boolean;
  readonly metrics?: Readonly<Record<string, number>>;
  readonly predictions: readonly {
    readonly index: number;
    readonly text: string;
    readonly prediction: unknown;
    readonly probabilities?: Readonly<Record<string, number>>;
    readonly label?: unknown;
  }[];
}

async function answer(...args: readonly string[]): Promise<Answer> {
  const { code, out, err } = await bench.run('--json', 'predict', ...args);
  expect(err).toBe('');
  expect(code).toBe(0);
  return JSON.parse(out) as Answer;
}

/** The metrics of the run's evaluation at a step. */
function recorded(id: string, step: number): Readonly<Record<string, number | null>> | undefined {
  const found = bench.events(id).find((event) => event.type === 'evaluation' && event.step === step);
  return found?.type === 'evaluation' ? found.metrics : undefined;
}

const short = { steps: 60, evaluateEvery: 20 };

describe('predict', () => {
  test('gives the scores that the run recorded, folded or not', async () => {
    const method = [
      { id: 'full' },
      { id: 'lora', rank: 2 },
      { id: 'slash', dimension: 16 },
      { id: 'pasta' },
      { id: 'prefix-tuning', length: 4, reparametrise: true, bottleneck: 8 },
      { id: 'adapter-pfeiffer', bottleneck: 4 },
    ];
    const file = bench.configure('a', { matrix: { method }, training: short });
    expect((await bench.run('run', file)).code).toBe(0);
    for (const [at, id] of bench.ids().entries()) {
      const best = await answer(id, '--split', 'dev');
      expect(best.checkpoint.at).toBe('best');
      expect(best.metrics).toEqual(recorded(id, best.checkpoint.step));
      expect(best.folded).toBe(at !== 3 && at !== 5);
      const last = await answer(id, '--split', 'dev', '--at', 'last');
      expect(last.checkpoint).toEqual({ at: 'last', step: 60 });
      expect(last.metrics).toEqual(recorded(id, 60));
      for (const { prediction, probabilities = {}, label } of best.predictions) {
        const [[most] = []] = Object.entries(probabilities).sort(([, a], [, b]) => b - a);
        expect(prediction).toBe(most);
        expect(Object.values(probabilities).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
        expect(['negative', 'positive']).toContain(label);
      }
    }
  });

  test('reads a file without labels, texts as options and lines of standard input alike', async () => {
    expect((await bench.run('run', bench.configure('a', { training: short }))).code).toBe(0);
    const texts = ['a fine film', 'dull and long', 'the cat sat'];
    writeFileSync(join(bench.folder, 'new.csv'), `sentence\n${texts.join('\n')}\n`);
    const fromFile = await answer('latest', 'new.csv');
    expect(fromFile.metrics).toBeUndefined();
    expect(fromFile.predictions.map(({ text }) => text)).toEqual(texts);
    const fromOptions = await answer('latest', ...texts.flatMap((text) => ['--text', text]));
    expect(fromOptions.predictions).toEqual(fromFile.predictions);
    const out = execFileSync(process.execPath, [program, '--json', 'predict', 'latest', '-'], {
      cwd: bench.folder,
      input: `${texts.join('\n')}\n\n`,
      encoding: 'utf8',
    });
    expect((JSON.parse(out) as Answer).predictions).toEqual(fromFile.predictions);
  });

  test('writes tables, CSV, JSON lines and what GLUE takes', async () => {
    expect((await bench.run('run', bench.configure('a', { training: short }))).code).toBe(0);
    const { predictions, metrics } = await answer('latest', '--split', 'dev');
    const csv = await bench.run('predict', 'latest', '--split', 'dev', '--format', 'csv');
    const [header, ...rows] = csv.out.trimEnd().split('\n');
    expect(header).toBe('index,prediction,p(negative),p(positive),label,sentence');
    expect(rows).toEqual(
      predictions.map(({ index, prediction, probabilities = {}, label, text }) => {
        const [negative, positive] = ['negative', 'positive'].map((name) =>
          Number(probabilities[name]?.toPrecision(7)),
        );
        return [index, prediction, negative, positive, label, text].join(',');
      }),
    );
    expect(csv.err).toContain(`accuracy ${metrics?.['accuracy']?.toFixed(4)}`);
    const jsonl = await bench.run('predict', 'latest', '--split', 'dev', '--format', 'jsonl');
    expect(
      jsonl.out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(predictions);
    const glue = await bench.run('predict', 'latest', '--split', 'dev', '--format', 'glue');
    expect(glue.out).toBe(
      `index\tprediction\n${predictions.map(({ index, prediction }) => `${index}\t${prediction === 'positive' ? 1 : 0}\n`).join('')}`,
    );
    expect(glue.err).toContain('SST-2.tsv');
    const written = await bench.run('--json', 'predict', 'latest', '--split', 'dev', '--output', 'dev.csv');
    expect(JSON.parse(written.out)).toMatchObject({ metrics, examples: 24, output: join(bench.folder, 'dev.csv') });
    expect(written.out).not.toContain('predictions');
    expect(readFileSync(join(bench.folder, 'dev.csv'), 'utf8')).toBe(csv.out);
    const again = await bench.run('predict', 'latest', '--split', 'dev', '--output', 'dev.csv');
    expect([again.code, again.out]).toEqual([2, '']);
    expect(again.err).toContain('dev.csv is there already');
    const replaced = ['--split', 'dev', '--output', 'dev.csv', '--format', 'glue', '--overwrite'];
    expect((await bench.run('predict', 'latest', ...replaced)).code).toBe(0);
    expect(readFileSync(join(bench.folder, 'dev.csv'), 'utf8')).toBe(glue.out);
    expect(readdirSync(bench.folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    const table = await bench.run('predict', 'latest', '--split', 'dev');
    expect(table.out.split('\n')[0]).toMatch(/^ *# +prediction +probability +label +text$/);
    expect(table.out.trimEnd().split('\n')).toHaveLength(predictions.length + 1);
  });

  test('gives scores, and labels of words', async () => {
    const pairs = (count: number): string =>
      `sentence1\tsentence2\tscore\n${Array.from({ length: count }, (_, i) => `the cat\ta dog ran\t${i % 6}\n`).join('')}`;
    for (const split of ['train', 'dev']) writeFileSync(join(bench.folder, `${split}.tsv`), pairs(24));
    const scored = bench.configure('scores', {
      task: { id: 'stsb', data: { train: 'train.tsv', dev: 'dev.tsv' } },
      training: { steps: 8, evaluateEvery: 8 },
    });
    const words = bench.configure('words', {
      task: { id: 'usage-tagging', maxLength: 24 },
      training: { steps: 8, evaluateEvery: 8, examples: 64 },
    });
    expect((await bench.run('run', scored, words)).code).toBe(0);
    const [ofScores = '', ofWords = ''] = bench.ids();

    const { predictions } = await answer(ofScores, '--text', 'the cat', '--pair', 'a dog ran');
    expect(predictions[0]?.prediction).toBeTypeOf('number');

    const tagged = await answer(ofWords, '--split', 'dev');
    // Words that were cut off have no label, and are not scored.
    expect(tagged.metrics).toEqual(recorded(ofWords, tagged.checkpoint.step));
    const csv = await bench.run('predict', ofWords, '--split', 'test', '--format', 'csv');
    const [header, first] = csv.out.split('\n');
    expect(header).toBe('index,word,text,prediction,label');
    expect(first).toMatch(/^0,0,/);
    const told = await bench.run('predict', ofWords, '--split', 'test');
    expect(told.err).toContain('entityF1');
  });

  test('tells which scores epsilon does not cover: those of a private run on its training data, and on what it does not call public', async () => {
    const file = bench.configure('a', {
      matrix: { 'privacy.publicEvaluation': [true, false] },
      privacy: { noiseMultiplier: 1 },
      training: short,
    });
    expect((await bench.run('run', file)).code).toBe(0);
    const [open = '', closed = ''] = bench.ids();
    const train = join('data', 'train.tsv');
    writeFileSync(join(bench.folder, 'other.tsv'), readFileSync(join(bench.folder, train)));
    expect(await answer(open, '--split', 'train')).toMatchObject({ coveredByEpsilon: false });
    expect(await answer(open, train)).toMatchObject({ coveredByEpsilon: false });
    expect(await answer(open, '--split', 'dev')).not.toHaveProperty('coveredByEpsilon');
    expect(await answer(open, 'other.tsv')).not.toHaveProperty('coveredByEpsilon');
    expect(await answer(closed, '--split', 'dev')).toMatchObject({ coveredByEpsilon: false });
  });

  test('reads pairs from lines, and tells the name of the part of MNLI that a file is', async () => {
    const rows = Array.from({ length: 12 }, (_, i) => `the cat\ta dog ran\t${i % 3}\n`).join('');
    for (const name of ['train', 'dev_matched', 'dev_mismatched', 'test_mismatched'])
      writeFileSync(join(bench.folder, `${name}.tsv`), `premise\thypothesis\tlabel\n${rows}`);
    const mnli = bench.configure('mnli', { task: { id: 'mnli', data: '.' }, training: short });
    expect((await bench.run('run', mnli)).code).toBe(0);
    const glue = await bench.run('predict', 'latest', 'test_mismatched.tsv', '--format', 'glue');
    expect(glue.err).toContain('MNLI-mm.tsv');
    const lines = (input: string | Buffer): string =>
      spawnSync(process.execPath, [program, 'predict', 'latest', '-'], { cwd: bench.folder, input, encoding: 'utf8' })
        .stderr;
    expect(lines('the cat\ta dog\n')).toContain('checkpoint of step');
    expect(lines('the cat\ta dog\nthe cat\ta dog\tran\n')).toContain(
      'line 2: there are 3 texts where a pair is expected',
    );
    expect(lines('the cat\n')).toContain('line 1: the hypothesis is missing');
    expect(lines(Buffer.from('the café\ta dog\n', 'latin1'))).toContain('standard input is not valid UTF-8');
    expect(lines(Buffer.from('\ufeffthe café\ta dog\n'))).toContain('checkpoint of step');
  });

  test('says what is wrong, and exits with 2', async () => {
    expect((await bench.run('run', bench.configure('a', { training: short }))).code).toBe(0);
    const refused = async (...args: readonly string[]): Promise<string> => {
      const { code, out, err } = await bench.run('predict', 'latest', ...args);
      expect(out).toBe('');
      expect(code).toBe(2);
      return err;
    };
    expect(await refused()).toContain('nothing is given to predict');
    expect(await refused('x.csv', '--text', 'a')).toContain('in more than one way');
    expect(await refused('nowhere.csv')).toMatch(/nowhere\.csv: there is no such file/);
    expect(await refused('nowhere')).toMatch(/nowhere: there is no such file/);
    expect(await refused('data')).toMatch(/data: this is a folder, not a file\n.*--split/);
    expect(await refused('--split', 'tset')).toContain('Did you mean "test"');
    expect(await refused('--split', 'test')).toContain('there is no file for the test split');
    expect(await refused('--text', 'a', '--pair', 'b')).toContain('SST-2 is about single texts');
    expect(await refused('--text', ' ')).toContain('--text: the sentence is empty');
    expect(await refused('--text', 'a', '--format', 'csvs')).toContain('Did you mean "csv"');
    const text = ['--text', 'a'];
    expect(await refused(...text, '--output', join('nowhere', 'a.csv'))).toMatch(/there is no folder .*nowhere/);
    expect(await refused(...text, '--output', '')).toContain('there is no file ""');
    expect(await refused(...text, '--output', 'data')).toContain('is a folder');
    expect(await refused(...text, '--output', 'a.json')).toContain('a.json does not tell the format');
    expect(existsSync(join(bench.folder, 'a.json'))).toBe(false);
    if (process.platform === 'linux')
      expect(await refused(...text, '--format', 'csv', '--output', '/dev/full')).toContain(
        '/dev/full cannot be written',
      );
    const train = join('data', 'train.tsv');
    const before = readFileSync(join(bench.folder, train), 'utf8');
    const over = ['--format', 'csv', '--output', train, '--overwrite'];
    expect(await refused(train, ...over)).toContain('is the file that is read');
    expect(readFileSync(join(bench.folder, train), 'utf8')).toBe(before);
    writeFileSync(join(bench.folder, 'bad.tsv'), 'sentence\nfine\n\t\n');
    expect(await refused('bad.tsv')).toContain('bad.tsv:3: ');
    const [id = ''] = bench.ids();
    const settings = join(bench.runFolder(id), 'config.json');
    const written = readFileSync(settings, 'utf8');
    writeFileSync(settings, written.replace('"rank": 8', '"rank": 5'));
    expect(await refused(...text)).toMatch(
      /best\.safetensors does not belong to this run: .* 128 numbers instead of 80/,
    );
    writeFileSync(settings, written);
    const best = join(bench.runFolder(id), 'checkpoints', 'best.safetensors');
    const whole = readFileSync(best);
    writeFileSync(best, whole.subarray(0, 1000));
    expect(await refused(...text)).toMatch(/best\.safetensors: is truncated.*\n {2}Try --at last\.\n$/s);
    writeFileSync(best, whole);
    const model = join(bench.folder, 'model', 'config.json');
    const config = readFileSync(model, 'utf8');
    writeFileSync(model, `${config}\n`);
    expect(await refused('--text', 'a')).toContain('no longer those that the run');
    writeFileSync(model, config);
    expect((await bench.run('predict', 'latest', '--text', 'a')).code).toBe(0);
  });
});
