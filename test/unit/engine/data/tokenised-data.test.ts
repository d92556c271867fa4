import fc from 'fast-check';
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../../src/base/errors.ts';
import { assembleBatch, trainingOrder } from '../../../../src/engine/data/batches.ts';
import type { FileCache } from '../../../../src/engine/checked-cache.ts';
import { DATA_CACHE_BYTES } from '../../../../src/engine/data/data-cache.ts';
import { lengthsOf, type Dataset } from '../../../../src/engine/data/dataset.ts';
import { tokenisedData, type DataRequest, type TokenisedData } from '../../../../src/engine/data/tokenised-data.ts';
import { resolveModel } from '../../../../src/engine/model-folder.ts';
import type { TrainingRequest } from '../../../../src/engine/prepare.ts';
import { loadTokenizer } from '../../../../src/engine/tokenizers/load.ts';
import { findTask } from '../../../../src/tasks/registry.ts';
import { temporaryFolder } from '../../../support/runs.ts';
import { makeTinyEncoder, tinyConfigJson, tinySentences } from '../../../support/tiny-encoder.ts';

let encoder: Awaited<ReturnType<typeof makeTinyEncoder>>;
beforeAll(async () => {
  encoder = await makeTinyEncoder();
});
afterAll(() => encoder.remove());

/** A project's folder with data and a cache. */
function project(files: Readonly<Record<string, string>>): { readonly data: string; readonly cache: FileCache } {
  const folder = temporaryFolder();
  const data = join(folder, 'data');
  mkdirSync(data);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(data, name), content);
  return { data, cache: { folder: join(folder, 'cache'), limitBytes: DATA_CACHE_BYTES } };
}

const sentences = { 'train.tsv': tinySentences(40, 1), 'dev.tsv': tinySentences(12, 2) };

async function requestOf(
  data: string,
  changes: Partial<DataRequest> = {},
  model = encoder.folder,
): Promise<DataRequest> {
  const folder = await resolveModel(model);
  return {
    task: findTask('sst2'),
    source: data,
    malformedRows: 'error',
    maxLength: 16,
    readsMask: false,
    examples: undefined,
    seed: 1,
    vocabularySize: tinyConfigJson.vocab_size,
    tokenizerFiles: folder.tokenizer,
    loadTokenizer: () => loadTokenizer(folder),
    ...changes,
  };
}

/** The same request by somebody who must find everything in the cache. */
function withoutTokenizer(request: DataRequest): DataRequest {
  return { ...request, loadTokenizer: () => Promise.reject(new Error('the tokenizer is not needed')) };
}

function isReused({ notes }: TokenisedData): boolean {
  return notes.some((note) => note === 'tokenised data taken from the cache: train, dev');
}

/** Two epochs of batches. */
function batchesOf(dataset: Dataset) {
  const order = trainingOrder(lengthsOf(dataset), { batchSize: 4, seed: 5 });
  return Array.from({ length: 2 * Math.ceil(dataset.count / 4) }, () =>
    assembleBatch(dataset, order.next().value.indices, { padId: 0 }),
  );
}

function expectSame(cached: TokenisedData, made: TokenisedData): void {
  expect(cached.train).toEqual(made.train);
  expect(batchesOf(cached.train)).toEqual(batchesOf(made.train));
  expect(cached.evaluations).toEqual(made.evaluations);
  expect(cached.maskToken).toBe(made.maskToken);
  expect(cached.files).toEqual(made.files);
}

function cachedFiles({ folder }: FileCache): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

const word = fc.constantFrom('film', 'story', 'good', 'bad', 'unknowable', 'the', 'naïve', 'word3', '.', '👍');
const words = fc.array(word, { minLength: 1, maxLength: 12 });

describe('tokenised data from the cache', () => {
  it('are what tokenising gives, for any texts, labels and settings', async () => {
    const rows = fc.array(
      fc.record({ words, more: words, label: fc.nat(1), score: fc.double({ min: 0, max: 5, noNaN: true }) }),
      {
        minLength: 6,
        maxLength: 20,
      },
    );
    const kind = fc.constantFrom('sst2', 'mrpc', 'stsb', 'usage-tagging');
    const settings = fc.record({
      maxLength: fc.integer({ min: 6, max: 20 }),
      readsMask: fc.boolean(),
      examples: fc.option(fc.integer({ min: 4, max: 6 }), { nil: undefined }),
      seed: fc.nat(1000),
    });
    await fc.assert(
      fc.asyncProperty(rows, kind, settings, async (rows, task, settings) => {
        const lines = rows.map(({ words, more, label, score }) => {
          const tags = words.map((_, i) => (i === 0 ? 'B-WORD' : 'O'));
          if (task === 'usage-tagging') return { tokens: words, gloss: more.join(' '), tags };
          const [text, pair] = [words.join(' '), more.join(' ')];
          return { sentence: text, sentence1: text, sentence2: pair, label: task === 'stsb' ? score : label };
        });
        const file = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
        const { data, cache } = project({ 'train.jsonl': file, 'dev.jsonl': file });
        const request = await requestOf(data, {
          ...settings,
          task: findTask(task),
          readsMask: settings.readsMask && task !== 'usage-tagging',
        });
        const plain = await tokenisedData(request, undefined);
        const first = await tokenisedData(request, cache);
        const second = await tokenisedData(withoutTokenizer(request), cache);
        expect([first, second].map(isReused)).toEqual([false, true]);
        expectSame(first, plain);
        expectSame(second, plain);
      }),
      { numRuns: 15 },
    );
  });

  it('are readable by their owner alone', async () => {
    const { data, cache } = project(sentences);
    await tokenisedData(await requestOf(data), cache);
    const modes = [cache.folder, ...cachedFiles(cache).map((name) => join(cache.folder, name))].map(
      (path) => statSync(path).mode & 0o777,
    );
    if (process.platform !== 'win32') expect(modes).toEqual([0o700, 0o600, 0o600]);
  });

  it('are found wherever the data lie, and made anew when anything that they depend on is another', async () => {
    const { data, cache } = project(sentences);
    const request = await requestOf(data);
    await tokenisedData(request, cache);
    const moved = `${data}-moved`;
    cpSync(data, moved, { recursive: true });
    expect(isReused(await tokenisedData(withoutTokenizer({ ...request, source: moved }), cache))).toBe(true);
    writeFileSync(join(moved, 'train.tsv'), sentences['train.tsv'].replace('film', 'cast'));
    const otherEncoder = join(temporaryFolder(), 'encoder');
    cpSync(encoder.folder, otherEncoder, { recursive: true });
    writeFileSync(join(otherEncoder, 'tokenizer_config.json'), JSON.stringify({ do_lower_case: false }));
    const moreTokens = join(temporaryFolder(), 'encoder');
    cpSync(encoder.folder, moreTokens, { recursive: true });
    writeFileSync(join(moreTokens, 'added_tokens.json'), JSON.stringify({ 'the film': 59 }));
    const others: readonly DataRequest[] = [
      { ...request, source: moved },
      { ...request, maxLength: 15 },
      { ...request, readsMask: true },
      { ...request, examples: 20 },
      { ...request, examples: 20, seed: 2 },
      { ...request, examples: 21, seed: 2 },
      { ...request, task: findTask('cola'), source: colaFrom(data) },
      { ...request, vocabularySize: tinyConfigJson.vocab_size + 1 },
      await requestOf(data, {}, otherEncoder),
      await requestOf(data, {}, moreTokens),
    ];
    for (const [index, other] of others.entries()) {
      const made = await tokenisedData(other, cache);
      expect(made.notes.join(), `${index}`).not.toMatch(/train/);
      expectSame(made, await tokenisedData(other, undefined));
    }
  });

  it('that are damaged anywhere are told of and made again', async () => {
    const { data, cache } = project(sentences);
    const request = await requestOf(data);
    const made = await tokenisedData(request, cache);
    const files = cachedFiles(cache).map((name) => join(cache.folder, name));
    const whole = files.map((file) => readFileSync(file));
    const damage: fc.Arbitrary<(bytes: Buffer) => Buffer> = fc.oneof(
      fc.nat().map((at) => (bytes: Buffer) => bytes.subarray(0, at % bytes.length)),
      fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(([at, change]) => (bytes: Buffer) => {
        const changed = Buffer.from(bytes);
        changed[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ change;
        return changed;
      }),
      fc.uint8Array({ minLength: 1, maxLength: 9 }).map((more) => (bytes: Buffer) => Buffer.concat([bytes, more])),
    );
    await fc.assert(
      fc.asyncProperty(damage, async (break_) => {
        for (const [index, file] of files.entries()) writeFileSync(file, break_(whole[index] ?? Buffer.alloc(0)));
        const mended = await tokenisedData(request, cache);
        expect(mended.notes.filter((note) => note.includes('it is made again'))).toHaveLength(2);
        expectSame(mended, made);
        expect(files.map((file) => readFileSync(file))).toEqual(whole);
        expect(isReused(await tokenisedData(withoutTokenizer(request), cache))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('under the name of others are not believed', async () => {
    const { data, cache } = project(sentences);
    const request = await requestOf(data);
    await tokenisedData(request, cache);
    const [one = '', two = ''] = cachedFiles(cache).map((name) => join(cache.folder, name));
    cpSync(one, two);
    const mended = await tokenisedData(request, cache);
    expect(mended.notes.join()).toContain('it belongs to other data');
    expectSame(mended, await tokenisedData(request, undefined));
  });

  it('that cannot be kept are used all the same', async () => {
    const { data, cache } = project(sentences);
    writeFileSync(cache.folder, 'a file where the folder should be');
    const made = await tokenisedData(await requestOf(data), cache);
    expect(made.notes).toHaveLength(2);
    expect(made.notes[0]).toMatch(/the tokenised train data cannot be kept/);
    expectSame(made, await tokenisedData(await requestOf(data), undefined));
  });

  it('are not kept where rows were left out, so that every run is told of these', async () => {
    const { data, cache } = project({ ...sentences, 'train.tsv': `${sentences['train.tsv']}no label\t7\n` });
    const request = await requestOf(data, { malformedRows: 'skip' });
    await tokenisedData(request, cache);
    const again = await tokenisedData(request, cache);
    expect(again.warnings).toHaveLength(1);
    expect(again.notes).toEqual(['tokenised data taken from the cache: dev']);
    const strict = tokenisedData(await requestOf(data), cache);
    await expect(strict).rejects.toThrow(UserError);
  });

  it('take no more room than they may: what was used longest ago goes first', async () => {
    const { data, cache } = project(sentences);
    const request = await requestOf(data);
    await tokenisedData(request, cache);
    const sizeOfAll = cachedFiles(cache).reduce((sum, name) => sum + statSync(join(cache.folder, name)).size, 0);
    const tight: FileCache = { ...cache, limitBytes: 2 * sizeOfAll };
    const longAgo = (hours: number) => {
      const time = new Date(Date.now() - hours * 3_600_000);
      for (const name of cachedFiles(cache))
        if (statSync(join(cache.folder, name)).mtimeMs > Date.now() - 1_800_000)
          utimesSync(join(cache.folder, name), time, time);
    };
    longAgo(9);
    await tokenisedData({ ...request, maxLength: 15 }, tight);
    longAgo(8);
    // Used again: now the other pair is the older one.
    expect(isReused(await tokenisedData(request, tight))).toBe(true);
    writeFileSync(join(cache.folder, 'abandoned.tmp'), '');
    utimesSync(join(cache.folder, 'abandoned.tmp'), 1, 1);
    await tokenisedData({ ...request, maxLength: 14 }, tight);
    expect(cachedFiles(cache)).toHaveLength(4);
    expect(cachedFiles(cache).every((name) => name.endsWith('.tokens'))).toBe(true);
    expect(isReused(await tokenisedData(request, tight))).toBe(true);
    expect(isReused(await tokenisedData({ ...request, maxLength: 15 }, tight))).toBe(false);
    const none: FileCache = { folder: join(cache.folder, 'none'), limitBytes: 100 };
    expect((await tokenisedData(request, none)).notes).toEqual([]);
    expect(cachedFiles(none)).toEqual([]);
  });

  it('are the same for processes that make, read and delete them at once', async () => {
    const { data, cache } = project(sentences);
    const settings = {
      length: { kind: 'steps', steps: 1 },
      ...{ batchSize: 8, accumulation: 1, learningRate: 1e-3, schedule: 'constant', warmup: 0, weightDecay: 0 },
      ...{ maxGradNorm: 1, adam: {}, dropout: undefined, seed: 1, evaluateEvery: 'epoch', checkpointEvery: 'epoch' },
    };
    const request = {
      model: { id: encoder.folder },
      task: { id: 'sst2', data, maxLength: 16 },
      method: { id: 'lora', options: {} },
      ...{ settings, examples: undefined, device: { provider: 'cpu', threads: 1 } },
    } as unknown as TrainingRequest;
    const program = join(import.meta.dirname, '../../../support/cache-race.ts');
    // So little room that each deletes what the other has just written.
    const children = ['4000', '1000000', '1000000'].map((limit) => {
      const args = [program, JSON.stringify(request), cache.folder, limit, '12'];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      return text(child.stdout);
    });
    const rounds = (await Promise.all(children)).flatMap((output) =>
      output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { digest: string; notes: readonly string[] }),
    );
    expect(rounds).toHaveLength(36);
    expect(new Set(rounds.map(({ digest }) => digest)).size).toBe(1);
    const notes = new Set(rounds.flatMap((round) => round.notes));
    expect([...notes].filter((note) => !note.startsWith('tokenised data taken from the cache'))).toEqual([]);
  });
});

/** The same sentences in the layout of CoLA. */
function colaFrom(data: string): string {
  const folder = `${data}-cola`;
  mkdirSync(folder);
  for (const name of ['train.tsv', 'dev.tsv']) {
    const [, ...rows] = readFileSync(join(data, name), 'utf8').trim().split('\n');
    const lines = rows.map((row) => row.split('\t')).map(([sentence, label]) => `source\t${label}\t\t${sentence}\n`);
    writeFileSync(join(folder, name), lines.join(''));
  }
  return folder;
}

describe('evaluation data', () => {
  const pairs = 'premise\thypothesis\tlabel\nthe film\tthe cast\tneutral\n';

  it('and training data have files of their name beside them told that are not read', async () => {
    const { data } = project({ ...sentences, 'train.csv': 'old', 'validation-00000-of-00001.parquet': 'old' });
    const { warnings } = await tokenisedData(await requestOf(data), undefined);
    expect(warnings).toEqual([
      `the train data are ${join(data, 'train.tsv')}; train.csv beside it is not read`,
      `the dev data are ${join(data, 'dev.tsv')}; validation-00000-of-00001.parquet beside it is not read`,
    ]);
    const named = { train: join(data, 'train.tsv'), dev: join(data, 'dev.tsv') };
    expect((await tokenisedData(await requestOf(data, { source: named }), undefined)).warnings).toEqual([]);
  });

  it('in the shape of MNLI have one part where they are one’s own, which is told, and two where they bear its names', async () => {
    const task = findTask('mnli');
    const { data } = project({ 'train.tsv': pairs, 'dev.tsv': pairs });
    const [train, dev] = [join(data, 'train.tsv'), join(data, 'dev.tsv')];
    for (const source of [data, { train, dev }]) {
      const { evaluations, warnings, files } = await tokenisedData(await requestOf(data, { task, source }), undefined);
      expect(evaluations.map(({ split }) => split)).toEqual(['dev']);
      expect(warnings).toEqual([`there is no mismatched part, so the score of MNLI is that of ${dev}`]);
      expect(files.all).toEqual([train, dev]);
    }
    const both = await tokenisedData(
      await requestOf(data, { task, source: { train, dev, devMismatched: dev } }),
      undefined,
    );
    expect(both.evaluations.map(({ split }) => split)).toEqual(['dev', 'dev-mismatched']);
    expect(both.warnings).toEqual([]);
    const torn = project({ 'train.tsv': pairs, 'dev_matched.tsv': pairs });
    await expect(tokenisedData(await requestOf(torn.data, { task }), undefined)).rejects.toThrow(
      /no file for the dev-mismatched split of MNLI/,
    );
  });
});
