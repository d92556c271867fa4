import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { assembleBatch, type Batch } from '../../../src/engine/data/batches.ts';
import { encodeDataset, type Dataset } from '../../../src/engine/data/dataset.ts';
import {
  frozenWeights,
  openEncoder,
  startValues,
  type EncoderCheckpoint,
} from '../../../src/engine/encoder-checkpoint.ts';
import { parseEncoderConfig } from '../../../src/engine/encoders/config.ts';
import { encoderTensors, tensorName, tensorPrefix, tensorShape } from '../../../src/engine/encoders/tensor-names.ts';
import { batchFeeds, specialPositions, type NamedTensors } from '../../../src/engine/feeds.ts';
import type { Value } from '../../../src/engine/graph/value.ts';
import {
  buildModel,
  gradientsOf,
  LOSS_SCALE,
  type ModelGraph,
  type ModelPlan,
} from '../../../src/engine/model-graph.ts';
import { draw } from '../../../src/engine/initialise.ts';
import { readTensors, writeSafetensors } from '../../../src/engine/safetensors.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';
import type { Tokenizer } from '../../../src/engine/tokenizers/tokenizer.ts';
import { makeTinyEncoder, tinyConfigJson } from '../../support/tiny-encoder.ts';

let checkpoint: EncoderCheckpoint;
let tokenizer: Tokenizer;
let folder: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  ({ folder, remove } = await makeTinyEncoder());
  checkpoint = await openEncoder(folder);
  tokenizer = await loadTokenizer(folder);
});
afterAll(async () => {
  await remove();
});

type Options = Readonly<Record<string, unknown>>;
type Text = readonly [text: string, pair?: string];

function modelOf(id: string, options: Options, plan: Partial<ModelPlan> = {}, allRows = false): ModelGraph {
  const { config: encoder, hasPooler } = checkpoint;
  const objective = { kind: 'classification', labels: 2 } as const;
  return buildModel({ encoder, hasPooler, method: { id, options }, objective, ...plan }, { dropout: 'off', allRows });
}

/** The texts as the model is fed them, tokenised by the tiny model's own tokenizer. */
function datasetOf(texts: readonly Text[]): Dataset {
  const examples = texts.map(([text, pair]) => ({ text, label: 0, ...(pair === undefined ? {} : { pair }) }));
  return encodeDataset(examples, 'classification', (...of) => tokenizer.encodeFast(...of), 30);
}

function batchOf(texts: readonly Text[], multipleOf = 1): Batch {
  const padding = { padId: checkpoint.config.padTokenId, multipleOf };
  return assembleBatch(
    datasetOf(texts),
    Uint32Array.from(texts, (_, index) => index),
    padding,
  );
}

/** Computes values of a model on a batch, from its start values. */
async function compute<Name extends string>(
  model: ModelGraph,
  outputs: Readonly<Record<Name, Value>>,
  batch: Batch,
  labels: NamedTensors = {},
): Promise<Record<Name, Float32Array>> {
  const weights = frozenWeights(model, checkpoint, 0);
  const executable = await onnxBackend.compile(outputs, weights, { provider: 'cpu', threads: 1 });
  try {
    const values = await startValues(model, checkpoint, 0);
    const trained = Object.fromEntries(
      model.trained.map(({ name, shape }) => [
        name,
        { dtype: 'float32' as const, shape, data: values.get(name) ?? new Float32Array() },
      ]),
    );
    const results = await executable.run({
      ...trained,
      ...batchFeeds(batch, checkpoint.config, tokenizer.specialTokens.mask?.id, model.specialTokens),
      [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1) },
      ...labels,
    });
    const floats = Object.keys(outputs).map((name) => [name, results[name]?.data] as const);
    return Object.fromEntries(floats) as Record<Name, Float32Array>;
  } finally {
    await executable.dispose();
  }
}

async function logitsOf(id: string, options: Options, texts: readonly Text[], multipleOf = 1): Promise<Float32Array> {
  const model = modelOf(id, options);
  const { logits } = model.outputs;
  if (logits === undefined) throw new Error('no logits');
  return (await compute(model, { logits }, batchOf(texts, multipleOf))).logits;
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  const apart = Math.max(...Array.from(actual, (number, i) => Math.abs(number - (expected[i] ?? NaN))));
  expect(apart).toBeLessThan(2e-5);
}

const forms: readonly (readonly [id: string, options: Options])[] = [
  ['prompt-tuning', { length: 3 }],
  ['prompt-tuning', { length: 3, enter: 'before-embedding', init: 'vocabulary' }],
  ['prompt-tuning', { length: 2, place: 'after-first-token', init: 'normal' }],
  ['prompt-tuning', { length: 2, headReads: 'unshifted' }],
  ['prefix-tuning', { length: 3 }],
  ['prefix-tuning', { length: 3, reparametrise: true, bottleneck: 5, shiftPositions: true }],
  ['warp', { prompts: 3 }],
  ['warp', { prompts: 3, enter: 'before-embedding', headReads: 'unshifted' }],
  ['jr-warp', { dimension: 8 }],
  ['jr-warp', { dimension: 8, head: 'linear', place: 'after-first-token' }],
  ['pasta', { initScale: 1 }],
  ['pasta', { initScale: 1, vectors: 'shared', slots: 2 }],
];

const short: Text = ['the film is good [MASK]'];
const long: Text = ['this story was truly moving and the cast looks brave [MASK]', 'the plot feels fresh'];

describe.each(forms)('%s %o', (id, options) => {
  it('says the same of an example whatever is padded and whoever stands beside it', async () => {
    const together = await logitsOf(id, options, [short, long]);
    const padded = await logitsOf(id, options, [short, long], 27);
    const alone = [...(await logitsOf(id, options, [short])), ...(await logitsOf(id, options, [long], 24))];
    expectClose(padded, together);
    expectClose(alone, together);
  });

  it('scores the tokens of the text alone', async () => {
    const batch = batchOf([short, long]);
    const [examples, tokens] = batch.shape;
    const model = modelOf(id, options, { objective: { kind: 'token-classification', labels: 3 } });
    const { logits } = model.outputs;
    if (logits === undefined) throw new Error('no logits');
    const labels = { dtype: 'int32' as const, shape: batch.shape, data: new Int32Array(examples * tokens) };
    const results = await compute(model, { logits, loss: model.loss }, batch, { labels });
    expect(results.logits).toHaveLength(examples * tokens * 3);
    expect(results.loss.every(Number.isFinite)).toBe(true);
    const answers = modelOf(id, options, { objective: { kind: 'span' } });
    const { start } = answers.outputs;
    if (start === undefined) throw new Error('no start scores');
    const ends = (at: number) => ({ dtype: 'int32' as const, shape: [examples], data: Int32Array.of(at, at) });
    const spans = { start_positions: ends(0), end_positions: ends(tokens - 1) };
    expect((await compute(answers, { start }, batch, spans)).start).toHaveLength(examples * tokens);
  });
});

describe('the row that a head reads', () => {
  const rows = 3;
  const maskAt = (batch: Batch): readonly number[] =>
    [0, 1].map((row) => {
      const ids = batch.inputIds.subarray(row * batch.shape[1], (row + 1) * batch.shape[1]);
      return ids.indexOf(tokenizer.specialTokens.mask?.id ?? -1);
    });
  it.each([
    ['linear', 'before-text', 'text', () => [rows, rows]],
    ['linear', 'before-text', 'unshifted', () => [0, 0]],
    ['linear', 'after-first-token', 'text', () => [0, 0]],
    ['mask', 'before-text', 'text', (batch: Batch) => maskAt(batch).map((at) => at + rows)],
    ['mask', 'before-text', 'unshifted', maskAt],
    ['mask', 'after-first-token', 'text', (batch: Batch) => maskAt(batch).map((at) => at + rows)],
  ] as const)('%s head, rows %s: %s', async (head, place, headReads, expected) => {
    const batch = batchOf([short, long]);
    const options = { prompts: rows, head, place, headReads };
    const model = modelOf('warp', options, {}, true);
    const { logits } = model.outputs;
    const hidden = model.layerOutputs.at(-1);
    if (logits === undefined || hidden === undefined) throw new Error('no outputs');
    const computed = await compute(model, { logits, hidden }, batch);
    const values = await startValues(model, checkpoint, 0);
    const weight = values.get('head.classifier.weight') ?? new Float32Array();
    const width = tinyConfigJson.hidden_size;
    const sequence = batch.shape[1] + rows;
    const wanted = expected(batch).flatMap((row, example) =>
      [0, 1].map((label) => {
        const start = (example * sequence + row) * width;
        return computed.hidden
          .subarray(start, start + width)
          .reduce((sum, number, i) => sum + number * (weight[label * width + i] ?? NaN), 0);
      }),
    );
    expectClose(computed.logits, wanted);
  });
});

describe('the rows that a head of words or of answers reads', () => {
  const count = 3;
  it.each([
    ['before-text', (token: number) => token + count],
    ['after-first-token', (token: number) => (token === 0 ? 0 : token + count)],
  ] as const)("are the text's own where others stand %s", async (place, rowOf) => {
    const batch = batchOf([short, long]);
    const [examples, tokens] = batch.shape;
    const width = tinyConfigJson.hidden_size;
    for (const [objective, name] of [
      [{ kind: 'token-classification', labels: 2 }, 'head.classifier.weight'],
      [{ kind: 'span' }, 'head.qa_outputs.weight'],
    ] as const) {
      const model = modelOf('prompt-tuning', { length: count, place, init: 'normal' }, { objective });
      const { logits } = model.outputs;
      const hidden = model.layerOutputs.at(-1);
      if (logits === undefined || hidden === undefined) throw new Error('no outputs');
      const computed = await compute(model, { logits, hidden }, batch);
      const weight = (await startValues(model, checkpoint, 0)).get(name) ?? new Float32Array();
      const wanted = Array.from({ length: examples * tokens * 2 }, (_, index) => {
        const [place, output] = [Math.floor(index / 2), index % 2];
        const [example, token] = [Math.floor(place / tokens), place % tokens];
        const start = (example * (tokens + count) + rowOf(token)) * width;
        return computed.hidden
          .subarray(start, start + width)
          .reduce((sum, number, i) => sum + number * (weight[output * width + i] ?? NaN), 0);
      });
      expectClose(computed.logits, wanted);
    }
  });
});

describe("PASTA's special tokens", () => {
  it('are those of the template: in mixed batches, beside words that look like them, and in texts that were cut', () => {
    const many = Array.from({ length: 60 }, () => 'film').join(' ');
    const batch = batchOf([
      ['the film'],
      ['the film', 'a plot'],
      ['the [SEP] film [CLS]'],
      ['good [SEP]', '[SEP] bad'],
      [many, 'a plot'],
      [''],
    ]);
    const positions = specialPositions(batch.special, batch.shape, 3);
    expect(positions).toMatchObject({ dtype: 'int32', shape: [6, 3] });
    expect([...positions.data]).toEqual([0, 3, -1, 0, 3, 6, 0, 5, -1, 0, 3, 6, 0, 26, 29, 0, 1, -1]);
    expect([...specialPositions(batch.special, batch.shape, 1).data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('have a vector each, as many as the task puts around its texts', () => {
    const count = (options: Options, plan: Partial<ModelPlan>): number => modelOf('pasta', options, plan).specialTokens;
    expect(count({}, { texts: 'single' })).toBe(2);
    expect(count({}, { texts: 'pair' })).toBe(3);
    expect(count({}, { texts: 'pair', encoder: { ...checkpoint.config, family: 'roberta' } })).toBe(4);
    expect(count({ head: 'mask' }, { texts: 'pair' })).toBe(2);
    expect(count({ slots: 5 }, { texts: 'single' })).toBe(5);
    const shared = modelOf('pasta', { vectors: 'shared' }, { texts: 'pair' });
    expect(shared.trained.find(({ name }) => name === 'method.e.0')?.shape).toEqual([1, tinyConfigJson.hidden_size]);
  });

  it.each([
    ['before-text', 3, 5],
    ['after-first-token', 0, 5],
  ] as const)('follow the text when other rows stand %s', async (place, first, third) => {
    const parts = [
      { id: 'prompt-tuning', length: 3, place },
      { id: 'pasta', initScale: 1 },
    ];
    const model = modelOf('union', { parts }, {}, true);
    const [hidden] = model.layerOutputs;
    if (hidden === undefined) throw new Error('no layer');
    const batch = batchOf([short]);
    const width = tinyConfigJson.hidden_size;
    const computedAt = (at: number): Promise<{ readonly hidden: Float32Array }> => {
      const special = { dtype: 'int32' as const, shape: [1, 3], data: Int32Array.of(at, -1, -1) };
      return compute(model, { hidden }, batch, { special_positions: special });
    };
    const without = (await computedAt(-1)).hidden;
    const rowOf = async (at: number): Promise<number> => {
      const shifted = (await computedAt(at)).hidden;
      const moved = Array.from({ length: shifted.length / width }, (_, row) =>
        Math.hypot(
          ...Array.from(
            { length: width },
            (_, i) => (shifted[row * width + i] ?? NaN) - (without[row * width + i] ?? NaN),
          ),
        ),
      );
      return moved.indexOf(Math.max(...moved));
    };
    // The shifted row itself moves farthest, the others only by what they attend to.
    expect(await rowOf(0)).toBe(first);
    expect(await rowOf(2)).toBe(third);
  });
});

describe('rows and the position table', () => {
  it('leaves the text what the rows do not take', () => {
    const all = tinyConfigJson.max_position_embeddings;
    expect(modelOf('prompt-tuning', { length: 12 }).positions).toBe(all);
    expect(modelOf('prompt-tuning', { length: 12, enter: 'before-embedding' }).positions).toBe(all - 12);
    expect(modelOf('prefix-tuning', { length: 12 }).positions).toBe(all);
    expect(modelOf('prefix-tuning', { length: 12, shiftPositions: true }).positions).toBe(all - 12);
    expect(modelOf('warp', { prompts: 50 }).positions).toBe(all);
  });

  it('refuses rows that leave no room for a text', () => {
    const crowded = (): unknown => modelOf('prompt-tuning', { length: 38, enter: 'before-embedding' });
    expect(crowded).toThrow(UserError);
    expect(crowded).toThrow("takes 38 of the encoder's 40 positions");
  });
});

describe('rows that start from the vocabulary', () => {
  it('are embeddings of different words, others for another seed', async () => {
    const model = modelOf('prompt-tuning', { length: 20, init: 'vocabulary' });
    const name = 'bert.embeddings.word_embeddings.weight';
    const table = (await readTensors(`${folder}/model.safetensors`, [name])).get(name);
    if (!(table?.data instanceof Float32Array)) throw new Error('no table');
    const [words, width] = table.shape;
    const rowsOf = (data: Float32Array): readonly string[] =>
      Array.from({ length: data.length / (width ?? 1) }, (_, row) =>
        data.subarray(row * (width ?? 1), (row + 1) * (width ?? 1)).join(),
      );
    const known = rowsOf(table.data);
    expect(known).toHaveLength(words ?? 0);
    const drawn = rowsOf((await startValues(model, checkpoint, 0)).get('method.prompt') ?? new Float32Array());
    expect(drawn).toHaveLength(20);
    expect(drawn.every((row) => known.includes(row))).toBe(true);
    expect(new Set(drawn).size).toBe(20);
    const other = rowsOf((await startValues(model, checkpoint, 1)).get('method.prompt') ?? new Float32Array());
    expect(other).not.toEqual(drawn);
  });

  it("are the mask token's where it is read, as WARP has it", async () => {
    const model = modelOf('warp', { prompts: 3, init: 'mask' });
    const mask = tokenizer.specialTokens.mask?.id ?? 0;
    const name = 'bert.embeddings.word_embeddings.weight';
    const { data } = (await readTensors(`${folder}/model.safetensors`, [name])).get(name) ?? {};
    const width = tinyConfigJson.hidden_size;
    const own = Array.from((data ?? []).slice(mask * width, (mask + 1) * width), Number);
    const started = (await startValues(model, checkpoint, 0, mask)).get('method.z') ?? new Float32Array();
    expect([...started]).toEqual([...own, ...own, ...own]);
    await expect(startValues(model, checkpoint, 0)).rejects.toThrow(UserError);
  });

  it('have the width of what they enter', () => {
    const encoder = { ...checkpoint.config, family: 'electra' as const, embeddingSize: 8 };
    const shapeOf = (id: string, options: Options): readonly number[] | undefined =>
      modelOf(id, options, { encoder }).trained[0]?.shape;
    expect(shapeOf('prompt-tuning', { length: 4 })).toEqual([4, 8]);
    expect(shapeOf('warp', { prompts: 4 })).toEqual([4, 16]);
    expect(shapeOf('warp', { prompts: 4, enter: 'before-embedding', init: 'vocabulary' })).toEqual([4, 8]);
    expect(shapeOf('warp', { prompts: 4, init: 'vocabulary' })).toEqual([4, 16]);
  });

  it("go through the encoder's own map where its embeddings are narrower than its layers", async () => {
    const home = await mkdtemp(join(tmpdir(), 'peft-electra-'));
    try {
      const json = { ...tinyConfigJson, model_type: 'electra', embedding_size: 8 };
      const config = parseEncoderConfig(json, 'config.json');
      const tensors = encoderTensors(config).map((tensor) => {
        const [name, shape] = [tensorPrefix(config) + tensorName(config, tensor), tensorShape(config, tensor)];
        return [name, { shape, data: draw({ kind: 'normal', deviation: 0.5 }, name, shape, 0) }] as const;
      });
      await writeFile(join(home, 'config.json'), JSON.stringify(json));
      await writeSafetensors(join(home, 'model.safetensors'), new Map(tensors), { format: 'pt' });
      const electra = await openEncoder(home);
      const model = modelOf('warp', { prompts: 3, init: 'mask' }, { encoder: electra.config });
      const started = (await startValues(model, electra, 0, 4)).get('method.z') ?? new Float32Array();
      const of = (name: string): Float32Array =>
        tensors.find(([full]) => full === `electra.${name}`)?.[1].data ?? new Float32Array();
      const [table, weight, bias] = [
        of('embeddings.word_embeddings.weight').subarray(4 * 8, 5 * 8),
        of('embeddings_project.weight'),
        of('embeddings_project.bias'),
      ];
      const row = Array.from(
        bias,
        (shift, at) => shift + table.reduce((sum, x, i) => sum + x * (weight[8 * at + i] ?? NaN), 0),
      );
      expect(row).toHaveLength(16);
      expectClose(started, [...row, ...row, ...row]);
    } finally {
      await rm(home, { recursive: true });
    }
  });

  it('have the same gradient where they are alike and no position tells them apart', async () => {
    const rowsOf = async (options: Options): Promise<readonly Float32Array[]> => {
      const model = modelOf('warp', { prompts: 3, ...options });
      const gradient = gradientsOf(model)['method.z'];
      if (gradient === undefined) throw new Error('no gradient');
      const computed = await compute(model, { gradient }, batchOf([['the cat [MASK] sat'], ['a dog [MASK]', 'ran']]));
      return [0, 1, 2].map((row) => computed.gradient.subarray(row * 16, (row + 1) * 16));
    };
    const [first, ...alike] = await rowsOf({ init: 'zeros' });
    for (const row of alike) expectClose(row, first ?? []);
    const [one, other] = await rowsOf({ init: 'zeros', enter: 'before-embedding' });
    expect([...(other ?? [])]).not.toEqual([...(one ?? [])]);
    const [drawn, another] = await rowsOf({ init: 'vocabulary' });
    expect([...(another ?? [])]).not.toEqual([...(drawn ?? [])]);
  });
});
