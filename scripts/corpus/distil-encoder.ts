// Usage: node scripts/corpus/distil-encoder.ts STUDENT TEACHER CORPUS OUTPUT [--sentences 160000] [--batch 64] [--rate 4e-4] [--weight 5]
// Teaches a small BERT what a sentence encoder says of sentences, while it goes on predicting masked words: the loss of a batch is that of its
// masked words plus `weight` times what the cosines between student and teacher lack to 1, for the mean of the student's tokens and for its first
// token. The teacher reads the whole sentence and its embedding is the mean of its tokens (Reimers and Gurevych 2019, section 3), the student
// reads the masked one. STUDENT and TEACHER are folders with encoders of the same width, CORPUS one with train.txt and heldout.txt.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { permutation, randomStream } from '../../src/base/random.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import type { Executable, TensorData } from '../../src/engine/backends/backend.ts';
import { assembleBatch, batchIndices, planEpoch, planEvaluation } from '../../src/engine/data/batches.ts';
import { encodeDataset, exampleAt, type Dataset } from '../../src/engine/data/dataset.ts';
import {
  frozenWeights,
  openEncoder,
  startValues,
  type EncoderCheckpoint,
} from '../../src/engine/encoder-checkpoint.ts';
import { usablePositions } from '../../src/engine/encoders/config.ts';
import { encoderFeeds } from '../../src/engine/feeds.ts';
import { differentiate } from '../../src/engine/graph/differentiate.ts';
import { mean } from '../../src/engine/graph/functions.ts';
import * as ops from '../../src/engine/graph/operations.ts';
import { topologicalOrder, type Value } from '../../src/engine/graph/value.ts';
import { buildModel, LOSS_SCALE, type ModelGraph, type Objective } from '../../src/engine/model-graph.ts';
import { createAdamW, stepAdamW } from '../../src/engine/optimisers/adamw.ts';
import { clipFactor, globalNorm } from '../../src/engine/optimisers/clip.ts';
import { learningRateAt, warmupSteps } from '../../src/engine/optimisers/schedule.ts';
import { weightDecayOf } from '../../src/engine/optimisers/weight-decay.ts';
import { exportEncoder } from '../../src/engine/export-encoder.ts';
import { maskBatch, type Masking, type MaskDraw } from '../../src/engine/pretraining/masking.ts';
import { maskingOf } from '../../src/engine/pretraining/packing.ts';
import { loadTokenizer } from '../../src/engine/tokenizers/load.ts';
import { trainedFeeds } from '../../src/engine/training-step.ts';

const mostTokens = 64;
const seed = 0;

/** Sentences of 5 to 40 words that are mostly letters: no code, tables or lists of numbers. */
function sentencesOf(text: string, count: number): readonly string[] {
  const all = text
    .split('\n')
    .flatMap((document) => document.split(/(?<=[.!?])\s+/u))
    .filter((sentence) => {
      const words = sentence.split(' ').length;
      return words >= 5 && words <= 40 && sentence.replace(/[^a-z ]/giu, '').length >= 0.9 * sentence.length;
    });
  const order = permutation(all.length, randomStream(seed, 'distil.sentences'));
  return Array.from(order.subarray(0, count), (index) => all[index] ?? '');
}

interface Side {
  readonly checkpoint: EncoderCheckpoint;
  readonly model: ModelGraph;
  readonly data: Dataset;
}

async function sideOf(
  folder: string,
  sentences: readonly string[],
  method: string,
  objective: Objective,
): Promise<Side> {
  const checkpoint = await openEncoder(folder);
  const tokenizer = await loadTokenizer(folder);
  const { config, hasPooler, hasWordHead } = checkpoint;
  const plan = { encoder: config, hasPooler, hasWordHead, method: { id: method, options: {} }, objective };
  const examples = sentences.map((text) => ({ text, label: 0 }));
  return {
    checkpoint,
    model: buildModel(plan, { dropout: 'off', allRows: true }),
    data: encodeDataset(
      examples,
      'classification',
      (...asked) => tokenizer.encodeFast(...asked),
      Math.min(mostTokens, usablePositions(config)),
    ),
  };
}

function lastLayer({ layerOutputs }: ModelGraph): Value {
  const last = layerOutputs.at(-1);
  if (last === undefined) throw new Error('the encoder has no layer');
  return last;
}

/** The mean over the tokens that are not padding, `[batch, hidden]`. */
function meanToken(model: ModelGraph): Value {
  const hidden = lastLayer(model);
  const mask = topologicalOrder([hidden]).find(
    ({ operation }) => operation.kind === 'input' && operation.name === 'attention_mask',
  );
  if (mask === undefined) throw new Error('the encoder reads no attention mask');
  const present = ops.reshape(ops.cast(mask, 'float32'), [...mask.shape, 1]);
  return ops.divide(ops.reduceSum(ops.multiply(hidden, present), [1]), ops.reduceSum(present, [1]));
}

function firstToken(model: ModelGraph): Value {
  const first = ops.slice(lastLayer(model), 1, 0, 1);
  return ops.reshape(first, [ops.dimAt(first, 0), ops.dimAt(first, 2)]);
}

/** The cosine of each row with its own of the other, `[batch]`. */
function cosine(a: Value, b: Value): Value {
  const dot = (x: Value, y: Value): Value => ops.reduceSum(ops.multiply(x, y), [1]);
  return ops.divide(dot(a, b), ops.sqrt(ops.multiply(dot(a, a), dot(b, b))));
}

function numbersOf(tensor: TensorData | undefined): Float32Array {
  if (tensor?.dtype !== 'float32') throw new Error('the graph gives no such numbers');
  return tensor.data;
}

function lengthsOf(data: Dataset): readonly number[] {
  return Array.from({ length: data.count }, (_, index) => exampleAt(data, index).ids.length);
}

/** What the teacher says of sentences, `[batch, hidden]`. */
async function teacherOf({ checkpoint, model, data }: Side): Promise<(indices: Uint32Array) => Promise<TensorData>> {
  const outputs = { embedding: meanToken(model) };
  const executable = await onnxBackend.compile(outputs, frozenWeights(model, checkpoint, seed), {
    provider: 'cpu',
    threads: 1,
  });
  return async (indices) => {
    const batch = assembleBatch(data, indices, { padId: checkpoint.config.padTokenId });
    const { embedding } = await executable.run(encoderFeeds(batch, batch.shape, checkpoint.config));
    if (embedding === undefined) throw new Error('the teacher gives no embedding');
    return embedding;
  };
}

interface Options {
  readonly sentences: number;
  readonly batch: number;
  readonly rate: number;
  readonly weight: number;
}

async function distil(
  student: string,
  teacher: string,
  corpus: string,
  output: string,
  { sentences, batch: batchSize, rate, weight }: Options,
): Promise<void> {
  const texts = sentencesOf(await readFile(join(corpus, 'train.txt'), 'utf8'), sentences);
  const heldOut = sentencesOf(await readFile(join(corpus, 'heldout.txt'), 'utf8'), 2000);
  const all = [...texts, ...heldOut];
  const pupil = await sideOf(student, all, 'full', { kind: 'masked-words', positions: 'given' });
  const { checkpoint, model } = pupil;
  if (!checkpoint.hasWordHead) throw new Error(`${student} does not predict words`);
  const embeddings = await teacherOf(await sideOf(teacher, all, 'head', { kind: 'regression' }));
  const masking: Masking = maskingOf(await loadTokenizer(student), { rate: 0.15, wholeWords: false });

  const target = ops.input('target', 'float32', [...meanToken(model).shape]);
  const likeness = { mean: mean(cosine(meanToken(model), target)), first: mean(cosine(firstToken(model), target)) };
  const lacking = ops.subtract(2, ops.add(likeness.mean, likeness.first));
  const loss = ops.add(model.loss, ops.multiply(lacking, weight));
  const trained = model.trained.map(({ value }) => value);
  const gradients = differentiate(loss, trained);
  const values = await startValues(model, checkpoint, seed);
  const scores = { words: model.loss, ...likeness };
  const weights = frozenWeights(model, checkpoint, seed);
  const options = { provider: 'cpu', threads: 1 } as const;
  const training = await onnxBackend.compile(
    { ...scores, ...Object.fromEntries(model.trained.map(({ name }, at) => [name, gradients[at] as Value])) },
    weights,
    options,
  );
  const scoring = await onnxBackend.compile(scores, weights, options);

  const pass = async (executable: Executable, indices: Uint32Array, draw: MaskDraw, embedding: TensorData) => {
    const padded = assembleBatch(pupil.data, indices, { padId: checkpoint.config.padTokenId });
    const { feeds, counts } = maskBatch(padded, checkpoint.config, masking, draw);
    const masked = counts.reduce((sum, count) => sum + count, 0);
    return executable.run({
      ...trainedFeeds(model, values),
      ...feeds,
      target: embedding,
      [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1 / Math.max(1, masked)) },
    });
  };
  const lengths = lengthsOf(pupil.data);
  const evaluate = async (step: number): Promise<void> => {
    const plan = planEvaluation(lengths.slice(texts.length), batchSize);
    const sums = { words: 0, mean: 0, first: 0 };
    for (let at = 0; at < plan.starts.length - 1; at++) {
      const indices = batchIndices(plan, at).map((index) => index + texts.length);
      const results = await pass(scoring, indices, { kind: 'evaluation' }, await embeddings(indices));
      for (const name of ['words', 'mean', 'first'] as const)
        sums[name] += ((numbersOf(results[name])[0] ?? NaN) * indices.length) / heldOut.length;
    }
    const { words, mean: all, first } = sums;
    process.stdout.write(
      `step ${step}: held-out loss of masked words ${words.toFixed(3)}, cosine of the mean token ${all.toFixed(3)}, of the first ${first.toFixed(3)}\n`,
    );
  };

  const plan = planEpoch(lengths.slice(0, texts.length), { batchSize, seed, epoch: 0 });
  const totalSteps = plan.starts.length - 1;
  const schedule = {
    kind: 'linear',
    learningRate: rate,
    warmupSteps: warmupSteps(0.05, totalSteps),
    totalSteps,
  } as const;
  const tensors = [...values].map(([name, value]) => ({ name, value, weightDecay: weightDecayOf(name, 0.01) }));
  const state = createAdamW(tensors);
  const began = performance.now();
  await evaluate(0);
  // The teacher reads the next batch while the student learns from this one.
  let next = embeddings(batchIndices(plan, 0));
  for (let step = 0; step < totalSteps; step++) {
    const embedding = await next;
    if (step + 1 < totalSteps) next = embeddings(batchIndices(plan, step + 1));
    const draw = { kind: 'training', seed, step: step + 1, microBatch: 0 } as const;
    const results = await pass(training, batchIndices(plan, step), draw, embedding);
    const found = new Map(tensors.map(({ name }) => [name, numbersOf(results[name])]));
    const norm = globalNorm(found.values());
    if (!Number.isFinite(norm)) throw new Error(`the gradient at step ${step + 1} is not finite`);
    stepAdamW(state, tensors, found, learningRateAt(schedule, step), undefined, clipFactor(norm, 1));
    if ((step + 1) % 50 === 0) {
      const seconds = (performance.now() - began) / 1000;
      process.stdout.write(`${step + 1} of ${totalSteps} steps, ${Math.round(seconds)} s\n`);
    }
    if ((step + 1) % 500 === 0 || step + 1 === totalSteps) {
      await evaluate(step + 1);
      await exportEncoder(output, checkpoint, values, { precision: 'float16', overwrite: true });
    }
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sentences: { type: 'string', default: '160000' },
    batch: { type: 'string', default: '64' },
    rate: { type: 'string', default: '4e-4' },
    weight: { type: 'string', default: '5' },
  },
});
const [student, teacher, corpus, output] = positionals;
if (student === undefined || teacher === undefined || corpus === undefined || output === undefined) {
  process.stderr.write(
    'usage: node scripts/corpus/distil-encoder.ts STUDENT TEACHER CORPUS OUTPUT [--sentences 160000] …\n',
  );
  process.exitCode = 2;
} else
  await distil(student, teacher, corpus, output, {
    sentences: Number(values.sentences),
    batch: Number(values.batch),
    rate: Number(values.rate),
    weight: Number(values.weight),
  });
