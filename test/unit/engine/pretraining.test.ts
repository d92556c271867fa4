import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import { UserError } from '../../../src/base/errors.ts';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { readCheckpoint, writeCheckpoint } from '../../../src/engine/checkpoint-file.ts';
import { assembleBatch } from '../../../src/engine/data/batches.ts';
import {
  frozenWeights,
  openEncoder,
  startValues,
  type EncoderCheckpoint,
} from '../../../src/engine/encoder-checkpoint.ts';
import { halfBits } from '../../../src/engine/half.ts';
import { buildModel, gradientsOf, LOSS_SCALE, type ModelPlan } from '../../../src/engine/model-graph.ts';
import { exportEncoder } from '../../../src/engine/export-encoder.ts';
import { maskBatch, maskText, type Masking } from '../../../src/engine/pretraining/masking.ts';
import { maskingOf, packDocuments } from '../../../src/engine/pretraining/packing.ts';
import { writeStartEncoder } from '../../../src/engine/pretraining/start-encoder.ts';
import { teacherEmbeddings } from '../../../src/engine/pretraining/teacher-embeddings.ts';
import { readTensors, writeSafetensors } from '../../../src/engine/safetensors.ts';
import { createWordCounter, learnWordPieces } from '../../../src/engine/tokenizers/learn-word-pieces.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';
import type { Tokenizer } from '../../../src/engine/tokenizers/tokenizer.ts';
import { train, type TrainingHost } from '../../../src/engine/trainer.ts';
import type { TrainerState } from '../../../src/engine/trainer-state.ts';
import type { TrainingEvent } from '../../../src/engine/training-events.ts';
import type { TrainingSetup } from '../../../src/engine/training-setup.ts';
import { trainedFeeds } from '../../../src/engine/training-step.ts';
import { loadSplit } from '../../../src/tasks/read/load.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { sampleFolder } from '../../../src/tasks/sample-data.ts';

const sizes = {
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 48,
  type_vocab_size: 2,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
};

let scratch: string;
let folder: string;
let texts: readonly string[];
let vocabulary: readonly string[];
let tokenizer: Tokenizer;
let checkpoint: EncoderCheckpoint;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'pretraining-'));
  folder = join(scratch, 'start');
  const task = findTask('wordnet-supersense');
  texts = (await loadSplit(task, sampleFolder(task) ?? '', 'dev')).examples.map(({ text }) => text);
  const counter = createWordCounter();
  for (const text of texts) counter.add(text);
  vocabulary = learnWordPieces(counter.counts(), { size: 600, leastCharacterCount: 2 });
  await writeStartEncoder(folder, sizes, 'sizes.json', vocabulary, 0);
  tokenizer = await loadTokenizer(folder);
  checkpoint = await openEncoder(folder);
});

afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('a learnt vocabulary', () => {
  it('begins with the special pieces, has no piece twice, and the size that was asked for', () => {
    expect(vocabulary.slice(0, 5)).toEqual(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']);
    expect(new Set(vocabulary).size).toBe(600);
    expect(vocabulary).toHaveLength(600);
  });

  it('is a function of the counts, not of their order', () => {
    const counter = createWordCounter();
    for (const text of texts.toReversed()) counter.add(text);
    expect(learnWordPieces(counter.counts(), { size: 600, leastCharacterCount: 2 })).toEqual(vocabulary);
  });

  it('merges what stands together most often, ties by the pieces’ letters', () => {
    const counts = new Map([
      ['hug', 10],
      ['pug', 5],
      ['pun', 12],
      ['bun', 4],
      ['hugs', 5],
    ]);
    // Counted by hand: u·g 20, then u·n 16, then h·ug 15; p·un 12 follows.
    const learnt = learnWordPieces(counts, { size: 5 + 7 * 2 + 4, leastCharacterCount: 1 });
    expect(learnt.slice(-4)).toEqual(['##ug', '##un', 'hug', 'pun']);
  });

  it('covers the text that it was learnt from without unknown pieces, and text comes back', () => {
    const [, unknown] = vocabulary;
    for (const text of texts.slice(0, 200)) {
      const { tokens, ids } = tokenizer.encode(text);
      const rare = Array.from(text.toLowerCase()).some(
        (character) => !vocabulary.includes(character) && character !== ' ',
      );
      if (!rare) expect(tokens).not.toContain(unknown);
      const letters = (of: string): string => of.toLowerCase().replaceAll(/\s/gu, '');
      if (!rare && Array.from(text).every((character) => character <= '~'))
        expect(letters(tokenizer.decode(ids))).toBe(letters(text));
    }
  });

  it('refuses a size without room for the characters', () => {
    expect(() => learnWordPieces(new Map([['abc', 100]]), { size: 8 })).toThrow(UserError);
    expect(() => learnWordPieces(new Map([['abc', 100]]), { size: 8 })).toThrow(/3 characters[^]*more than 11 pieces/);
  });
});

describe('word embeddings of a teacher', () => {
  const wordsOf = async (encoder: string): Promise<Float32Array> => {
    const name = 'bert.embeddings.word_embeddings.weight';
    const { data } = (await readTensors(join(encoder, 'model.safetensors'), [name])).get(name) ?? {};
    return data as Float32Array;
  };
  const inner = (table: Float32Array, width: number, a: number, b: number): number => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += (table[a * width + i] ?? 0) * (table[b * width + i] ?? 0);
    return sum;
  };

  it('are taken as they are at the same width, and the mean of what a piece is cut into where the teacher lacks it', async () => {
    const missing = vocabulary.findIndex((piece) => /^[a-z]{4,}$/u.test(piece));
    const lacking = vocabulary.map((piece, id) => (id === missing ? 'qqqq' : piece));
    const word = vocabulary[missing] ?? '';
    const teacher = join(scratch, 'lacking');
    await writeStartEncoder(teacher, sizes, 'sizes.json', lacking, 0);
    const student = await teacherEmbeddings(teacher, vocabulary, 32);
    const table = await wordsOf(teacher);
    const parts = [...(await loadTokenizer(teacher)).encode(word).ids].slice(1, -1);
    expect(parts.length).toBeGreaterThan(1);
    for (let i = 0; i < 32; i++) {
      const mean = parts.reduce((sum, id) => sum + (table[id * 32 + i] ?? 0), 0) / parts.length;
      expect(student[missing * 32 + i]).toBeCloseTo(mean, 6);
    }
    expect(student.subarray(0, missing * 32)).toEqual(table.subarray(0, missing * 32));
  });

  it('keep their inner products when the directions that they differ in fit the narrower encoder', async () => {
    const teacher = join(scratch, 'flat');
    await writeStartEncoder(teacher, sizes, 'sizes.json', vocabulary, 0);
    // A table of rank 8: the first 8 columns, mixed into all 32.
    const own = await wordsOf(teacher);
    const flat = new Float32Array(own.length);
    for (let row = 0; row < vocabulary.length; row++)
      for (let column = 0; column < 32; column++)
        for (let rank = 0; rank < 8; rank++)
          flat[row * 32 + column] =
            (flat[row * 32 + column] ?? 0) + (own[row * 32 + rank] ?? 0) * Math.cos(rank * 7 + column);
    const all = await readTensors(join(teacher, 'model.safetensors'));
    const changed = new Map([...all].map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]));
    changed.set('bert.embeddings.word_embeddings.weight', { shape: [vocabulary.length, 32], data: flat });
    await writeSafetensors(join(teacher, 'model.safetensors'), changed, { format: 'pt' });
    const mean = Array.from({ length: 32 }, (_, column) =>
      vocabulary.reduce((sum, __, row) => sum + (flat[row * 32 + column] ?? 0) / vocabulary.length, 0),
    );
    const centred = flat.map((value, i) => value - (mean[i % 32] ?? 0));

    const student = await teacherEmbeddings(teacher, vocabulary, 10);
    for (const [a, b] of [
      [5, 5],
      [6, 300],
      [17, 599],
    ] as const)
      expect(inner(student, 10, a, b)).toBeCloseTo(inner(centred, 32, a, b), 6);
  });

  it('of a narrower teacher are refused', async () => {
    await expect(teacherEmbeddings(folder, vocabulary, 64)).rejects.toThrow(
      /embeddings of 32, and the new encoder needs 64/,
    );
  });
});

describe('packed text', () => {
  it('holds every token of every document in order, in full sequences between start and end tokens', () => {
    const maxLength = 32;
    const packed = packDocuments(texts, tokenizer, maxLength);
    const { cls, sep } = tokenizer.specialTokens;
    const inner: number[] = [];
    for (let i = 0; i < packed.count; i++) {
      const ids = [...packed.ids.subarray(packed.offsets[i], packed.offsets[i + 1])];
      const special = [...packed.special.subarray(packed.offsets[i], packed.offsets[i + 1])];
      expect(ids.length).toBeLessThanOrEqual(maxLength);
      if (i < packed.count - 1) expect(ids.length).toBeGreaterThanOrEqual(maxLength - 1);
      expect([ids[0], ids.at(-1)]).toEqual([cls.id, sep.id]);
      expect(ids.map((id) => (id === cls.id || id === sep.id ? 1 : 0))).toEqual(special);
      inner.push(...ids.filter((_, at) => special[at] === 0));
    }
    const all = texts.flatMap((text) => [...tokenizer.encodeFast(text, undefined, 10_000).ids].slice(1, -1));
    expect(inner).toEqual(all.slice(0, inner.length));
    expect(all.length - inner.length).toBeLessThan(8);
  });
});

describe('masking', () => {
  const masking = (wholeWords = false, rate = 0.15): Masking => maskingOf(tokenizer, { rate, wholeWords });

  it('chooses its share of the ordinary tokens, and says what stood there', () => {
    const text = fc.array(fc.integer({ min: 5, max: 599 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(text, fc.nat(), fc.boolean(), (inner, seed, wholeWords) => {
        const ids = [2, ...inner, 3];
        const special = ids.map((_, at) => (at === 0 || at === ids.length - 1 ? 1 : 0));
        const { inputIds, positions, labels } = maskText(ids, special, masking(wholeWords), randomStream(seed, 'x'));
        const most = Math.max(1, Math.round(0.15 * inner.length));
        expect(positions.length).toBeGreaterThan(0);
        if (wholeWords && positions.length > most) {
          // Only a first word that is longer than the share by itself.
          expect([...positions].every((at, i) => i === 0 || at === (positions[i - 1] ?? 0) + 1)).toBe(true);
        } else if (!wholeWords) expect(positions).toHaveLength(most);
        expect([...labels]).toEqual([...positions].map((at) => ids[at]));
        expect([...positions].every((at) => special[at] === 0)).toBe(true);
        const changed = ids.flatMap((id, at) => (inputIds[at] === id ? [] : [at]));
        expect(changed.every((at) => positions.includes(at))).toBe(true);
        expect(new Set(positions).size).toBe(positions.length);
      }),
    );
  });

  it('keeps words whole where asked', () => {
    const { ids, special } = tokenizer.encodeFast(texts.join(' '), undefined, 4000);
    const { positions } = maskText(ids, special, masking(true), randomStream(0, 'words'));
    const chosen = new Set(positions);
    const goesOn = (at: number): boolean => tokenizer.idToToken(ids[at] ?? 0)?.startsWith('##') === true;
    for (let at = 1; at < ids.length; at++)
      if (goesOn(at) && special[at - 1] === 0) expect(chosen.has(at)).toBe(chosen.has(at - 1));
    expect([...chosen].some(goesOn)).toBe(true);
    expect(positions.length / ids.length).toBeGreaterThan(0.14);
  });

  it('masks 80 %, replaces 10 % and keeps 10 % of what is chosen, within four deviations', () => {
    const ids = Int32Array.from({ length: 200_000 }, (_, i) => 5 + (i % 595));
    const { inputIds, positions, labels } = maskText(
      ids,
      new Uint8Array(ids.length),
      masking(),
      randomStream(3, 'share'),
    );
    const n = positions.length;
    const count = (is: (now: number, was: number) => boolean): number =>
      [...positions].filter((at, i) => is(inputIds[at] ?? 0, labels[i] ?? 0)).length;
    const near = (found: number, share: number): void => {
      expect(Math.abs(found - share * n)).toBeLessThan(4 * Math.sqrt(n * share * (1 - share)));
    };
    near(
      count((now) => now === 4),
      0.8,
    );
    // A random token is the same one by chance in one of 595.
    near(
      count((now, was) => now === was),
      0.1 + 0.1 / 595,
    );
    near(
      count((now, was) => now !== was && now !== 4),
      0.1 * (1 - 1 / 595),
    );
  });

  it('is a function of seed, step and micro-batch; in evaluation of the text’s own place alone', () => {
    const packed = packDocuments(texts, tokenizer, 32);
    const batch = assembleBatch(packed, Uint32Array.of(3, 1, 4), { padId: 0 });
    const draw = (seed: number, step: number, microBatch: number) =>
      maskBatch(batch, checkpoint.config, masking(), { kind: 'training', seed, step, microBatch }).feeds['input_ids']
        ?.data;
    expect(draw(0, 5, 1)).toEqual(draw(0, 5, 1));
    for (const other of [draw(1, 5, 1), draw(0, 6, 1), draw(0, 5, 0)]) expect(other).not.toEqual(draw(0, 5, 1));
    const alone = assembleBatch(packed, Uint32Array.of(4), { padId: 0 });
    const [together, single] = [batch, alone].map(
      (one) => maskBatch(one, checkpoint.config, masking(), { kind: 'evaluation' }).feeds['input_ids']?.data,
    );
    expect(together?.slice(64)).toEqual(single);
  });
});

/** The loss and gradients of one batch under a plan. */
async function run(plan: ModelPlan, feeds: Parameters<Awaited<ReturnType<typeof onnxBackend.compile>>['run']>[0]) {
  const model = buildModel(plan, { dropout: 'off' });
  const values = await startValues(model, checkpoint, 0);
  const outputs = {
    loss: model.loss,
    losses: model.losses,
    ...(model.outputs['right'] === undefined ? {} : { right: model.outputs['right'] }),
    ...gradientsOf(model),
  };
  const executable = await onnxBackend.compile(outputs, frozenWeights(model, checkpoint, 0), {
    provider: 'cpu',
    threads: 2,
  });
  try {
    return await executable.run({
      ...trainedFeeds(model, values),
      ...feeds,
      [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1) },
    });
  } finally {
    await executable.dispose();
  }
}

describe('the loss at given places', () => {
  it('and its gradients are those of all places with the others unlabelled', async () => {
    const packed = packDocuments(texts, tokenizer, 24);
    const batch = assembleBatch(packed, Uint32Array.of(0, 7, packed.count - 1), { padId: 0 });
    const { feeds } = maskBatch(batch, checkpoint.config, maskingOf(tokenizer, { rate: 0.15, wholeWords: true }), {
      kind: 'training',
      seed: 0,
      step: 1,
      microBatch: 0,
    });
    const [positions, labels] = [feeds['masked_positions'], feeds['labels']];
    if (positions?.dtype !== 'int32' || labels?.dtype !== 'int32') throw new Error('no labels');
    const [rows, tokens] = batch.shape;
    const everywhere = new Int32Array(rows * tokens).fill(-100);
    const width = labels.data.length / rows;
    for (const [i, label] of labels.data.entries())
      if (label !== -100) everywhere[Math.floor(i / width) * tokens + (positions.data[i] ?? 0)] = label;
    const plan = (objective: ModelPlan['objective']): ModelPlan => ({
      encoder: checkpoint.config,
      hasPooler: false,
      method: { id: 'full', options: {} },
      objective,
    });
    const given = await run(plan({ kind: 'masked-words', positions: 'given' }), feeds);
    const { masked_positions: _, ...rest } = feeds;
    const all = await run(plan({ kind: 'masked-words' }), {
      ...rest,
      labels: { dtype: 'int32', shape: [rows, tokens], data: everywhere },
    });
    for (const [name, { data }] of Object.entries(all)) {
      const other = given[name]?.data;
      if (!(data instanceof Float32Array) || !(other instanceof Float32Array)) throw new Error(`${name} is missing`);
      const scale = Math.max(1e-3, ...data.map(Math.abs));
      for (let i = 0; i < data.length; i++)
        expect(Math.abs((data[i] ?? 0) - (other[i] ?? 0)) / scale, name).toBeLessThan(2e-5);
    }
  });
});

interface Told {
  readonly events: readonly TrainingEvent[];
  readonly state: TrainerState;
}

async function pretrain(setup: TrainingSetup, stopAfter?: number, from?: TrainerState): Promise<Told> {
  const events: TrainingEvent[] = [];
  let state: TrainerState | undefined;
  const file = join(scratch, 'state.safetensors');
  const host: TrainingHost = {
    emit: (event) => events.push(event),
    wish: () => (events.filter(({ type }) => type === 'step').length === stopAfter ? 'stop' : 'continue'),
    save: async (kind, now) => {
      if (kind === 'last') {
        await writeCheckpoint(file, now, new Map(), { segment: 0, offset: 0 });
        state = await readCheckpoint(file);
      }
      return kind;
    },
    now: () => performance.now(),
  };
  await train(setup, host, from);
  if (state === undefined) throw new Error('nothing was saved');
  return { events, state };
}

function setupOf(steps: number): TrainingSetup {
  const masking = maskingOf(tokenizer, { rate: 0.15, wholeWords: false });
  return {
    checkpoint,
    method: { id: 'full', options: {} },
    task: findTask('mlm'),
    train: packDocuments(texts.slice(100), tokenizer, 32),
    evaluations: [{ split: 'dev', dataset: packDocuments(texts.slice(0, 100), tokenizer, 32) }],
    settings: {
      length: { kind: 'steps', steps },
      batchSize: 8,
      accumulation: 2,
      learningRate: 3e-3,
      schedule: 'linear',
      warmup: 0.1,
      weightDecay: 0.01,
      maxGradNorm: 1,
      adam: { beta1: 0.9, beta2: 0.98, epsilon: 1e-6 },
      dropout: undefined,
      seed: 0,
      evaluateEvery: 20,
      checkpointEvery: 1000,
      earlyStopping: undefined,
    },
    backend: onnxBackend,
    device: { provider: 'cpu', threads: 2, reason: 'test' },
    maskToken: undefined,
    masking,
  };
}

describe('pretraining', () => {
  it('stopped and continued ends in the same numbers, and learns', async () => {
    const whole = await pretrain(setupOf(60));
    const half = await pretrain(setupOf(60), 23);
    const rest = await pretrain(setupOf(60), undefined, half.state);
    expect(rest.state.values).toEqual(whole.state.values);
    const evaluations = whole.events.filter((event) => event.type === 'evaluation');
    expect(
      rest.events.filter((event) => event.type === 'evaluation').map(({ step, loss }) => ({ step, loss })),
    ).toEqual(evaluations.slice(-2).map(({ step, loss }) => ({ step, loss })));
    // Knowing nothing costs ln 600 = 6.4; knowing how often each piece occurs costs less than 5.6.
    expect(evaluations.at(-1)?.loss).toBeLessThan(5.6);
    expect(evaluations.at(-1)?.metrics['maskedAccuracy']).toBeGreaterThan(0.03);
  });

  it('writes an encoder that another run goes on from with the same outputs', async () => {
    const { state } = await pretrain(setupOf(3));
    const out = join(scratch, 'exported');
    await exportEncoder(out, checkpoint, state.values, { precision: 'float32' });
    const exported = await openEncoder(out);
    expect(exported.hasWordHead).toBe(true);
    const model = buildModel(
      {
        encoder: exported.config,
        hasPooler: false,
        method: { id: 'full', options: {} },
        objective: { kind: 'masked-words', positions: 'given' },
      },
      { dropout: 'off' },
    );
    const again = await startValues(model, exported, 0);
    for (const [name, values] of state.values) expect(again.get(name), name).toEqual(values);
    expect(await readFile(join(out, 'vocab.txt'), 'utf8')).toBe(await readFile(join(folder, 'vocab.txt'), 'utf8'));
    const small = join(scratch, 'half');
    await exportEncoder(small, checkpoint, state.values, { precision: 'float16' });
    const halves = await startValues(model, await openEncoder(small), 0);
    for (const [name, values] of state.values)
      for (const [i, value] of values.entries())
        expect(Math.abs((halves.get(name)?.[i] ?? NaN) - value)).toBeLessThanOrEqual(
          Math.abs(value) * 2 ** -11 + 2 ** -25,
        );
  });
});

describe('numbers of 16 bits', () => {
  it('are nearest, ties to even, for every half and what lies between', async () => {
    const file = join(scratch, 'all-halves.safetensors');
    const bits = Uint16Array.from({ length: 0x7c00 }, (_, i) => i);
    const { writeSafetensors, readTensors } = await import('../../../src/engine/safetensors.ts');
    await writeSafetensors(file, new Map([['x', { shape: [bits.length], data: bits, dtype: 'F16' }]]));
    const data = (await readTensors(file)).get('x')?.data;
    if (!(data instanceof Float32Array)) throw new Error('not widened');
    for (let i = 0; i < bits.length; i++) {
      const value = data[i] ?? NaN;
      expect(halfBits(value)).toBe(i);
      expect(halfBits(-value)).toBe(i | 0x8000);
      const next = data[i + 1];
      if (next === undefined) continue;
      // Half way between neighbours the even one is taken; these sums are exact in float32.
      expect(halfBits((value + next) / 2)).toBe(i % 2 === 0 ? i : i + 1);
    }
    expect(halfBits(65519)).toBe(0x7bff);
    expect([65520, Infinity, -Infinity].map(halfBits)).toEqual([0x7c00, 0x7c00, 0xfc00]);
    expect(halfBits(NaN) & 0x7fff).toBeGreaterThan(0x7c00);
  });
});

describe('texts of a start encoder', () => {
  it('are files that the loader reads back to the same vocabulary', async () => {
    const byVocabulary = join(scratch, 'vocab-only');
    await writeStartEncoder(byVocabulary, sizes, 'sizes.json', vocabulary, 0);
    await rm(join(byVocabulary, 'tokenizer.json'));
    const other = await loadTokenizer(byVocabulary);
    for (const text of texts.slice(0, 50))
      expect(other.encode(text, 'and more').ids).toEqual(tokenizer.encode(text, 'and more').ids);
    await writeFile(join(scratch, 'roberta.json'), '{}');
    await expect(
      writeStartEncoder(join(scratch, 'no'), { hidden_size: 'wide' }, 'sizes.json', vocabulary, 0),
    ).rejects.toThrow(/sizes\.json/);
  });
});
