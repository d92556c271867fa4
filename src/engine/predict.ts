import { messageOf, UserError } from '../base/errors.ts';
import { IGNORED_LABEL } from '../tasks/losses.ts';
import { evaluateTask, evaluateWords, greatest } from '../tasks/metrics.ts';
import { outputCount, unlabelled, type Example, type Task, type WordTask } from '../tasks/task.ts';
import type { Backend, Executable, WeightSource } from './backends/backend.ts';
import { joinExamples, runInParts, sliceExamples, unlimitedRoom, type Room } from './batch-parts.ts';
import { compileOptions } from './compile-options.ts';
import { evaluationBatches, scatterRows, type Batch } from './data/batches.ts';
import type { Dataset } from './data/dataset.ts';
import { encodeExamples } from './data/encode-examples.ts';
import type { Device } from './device.ts';
import { isOfDevice } from './device-failure.ts';
import { frozenWeights, type EncoderCheckpoint } from './encoder-checkpoint.ts';
import { batchFeeds } from './feeds.ts';
import { foldedWeights, foldingOf, foldModel } from './fold.ts';
import { buildModel, type ModelGraph } from './model-graph.ts';
import { comfortableTokens } from './pass-size.ts';
import type { Tokenizer } from './tokenizers/tokenizer.ts';
import { trainedFeeds } from './training-step.ts';
import { modelPlanOf, type TrainingSettings, type TrainingSetup } from './training-setup.ts';

type LabelledTask = Exclude<Task, { kind: 'masked-words' }>;

/** What a trained model says of an example. */
export type Prediction =
  | { readonly kind: 'class'; readonly label: number; readonly probabilities: readonly number[] }
  | { readonly kind: 'score'; readonly score: number }
  /** A label for each word; none for a word that the greatest length cut off. */
  | { readonly kind: 'words'; readonly labels: readonly (number | undefined)[] };

/** A trained model, and what computes it. */
export interface PredictionSetup {
  readonly checkpoint: EncoderCheckpoint;
  readonly method: TrainingSetup['method'];
  readonly task: Task;
  /** The trained tensors by name. */
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly tokenizer: Tokenizer;
  /** The greatest number of tokens of an example. */
  readonly maxLength: number;
  readonly settings: Pick<TrainingSettings, 'batchSize' | 'precision' | 'frozenPrecision' | 'seed'>;
  readonly backend: Backend;
  readonly device: Device;
  /** What computes in the device's place where that was chosen automatically and does not take the model after all. */
  readonly fallback?: TrainingSetup['fallback'];
  /** Told where the device's memory does not hold a batch, or another device computes. */
  readonly onNotice?: (message: string) => void;
}

export interface Predictions {
  /** One for each example, in their order. */
  readonly predictions: readonly Prediction[];
  /** The method was worked into the encoder, which computes the same at the plain encoder's cost. */
  readonly folded: boolean;
}

/** A graph that gives logits. */
interface Inference {
  readonly model: ModelGraph;
  readonly executable: Executable;
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly folded: boolean;
}

/**
 * Predicts examples with a trained model. A method that folds into the encoder is folded first, where the encoder is computed in float32: other
 * precisions round the frozen matrices that the run was scored with, and folded ones are others.
 * @throws UserError where the task predicts no label, or the head reads a mask token that the tokenizer lacks
 */
export async function predict(setup: PredictionSetup, examples: readonly Example[]): Promise<Predictions> {
  const { task, fallback, device, onNotice } = setup;
  requireLabels(task);
  try {
    return await predictOn(setup, task, examples);
  } catch (error) {
    if (fallback === undefined || !isOfDevice(error)) throw error;
    onNotice?.(
      `${device.provider} does not take this model: ${messageOf(error)}; ${fallback.device.provider} predicts`,
    );
    return await predictOn({ ...setup, ...fallback }, task, examples);
  }
}

/** @throws UserError where the task has no labels to predict */
export function requireLabels(task: Task): asserts task is LabelledTask {
  if (task.kind === 'masked-words')
    throw new UserError(
      'a run of the task mlm has no head that predicts labels',
      'Export its encoder with "peft-lab export", and train that on a task.',
    );
}

async function predictOn(
  setup: PredictionSetup,
  task: LabelledTask,
  examples: readonly Example[],
): Promise<Predictions> {
  const inference = await openInference(setup);
  try {
    const dataset = datasetOf(setup, task, inference.model, examples);
    const predictions =
      task.kind === 'words'
        ? await predictWords(setup, task, inference, dataset, examples)
        : await predictExamples(setup, task, inference, dataset);
    return { predictions, folded: inference.folded };
  } finally {
    await inference.executable.dispose();
  }
}

async function openInference(setup: PredictionSetup): Promise<Inference> {
  const { checkpoint, values, backend, device } = setup;
  const { seed, precision = 'float32', frozenPrecision = 'float32' } = setup.settings;
  const plan = modelPlanOf(setup);
  if (precision === 'float32' && frozenPrecision === 'float32' && foldingOf(plan).kind === 'folds') {
    const folded = await foldModel({ plan, checkpoint, values, seed }, { backend, device });
    const model = buildModel(folded.plan, { dropout: 'off' });
    const executable = await compileLogits(setup, model, foldedWeights(model, folded, checkpoint, seed));
    return { model, executable, values: folded.values, folded: true };
  }
  const model = buildModel(plan, { dropout: 'off' });
  const executable = await compileLogits(setup, model, frozenWeights(model, checkpoint, seed));
  return { model, executable, values, folded: false };
}

async function compileLogits(setup: PredictionSetup, model: ModelGraph, weights: WeightSource): Promise<Executable> {
  const { logits } = model.outputs;
  if (logits === undefined) throw new Error('the model gives no logits');
  const outputs = { logits };
  return setup.backend.compile(outputs, weights, await compileOptions(setup, model, outputs));
}

function datasetOf(
  { tokenizer, maxLength }: PredictionSetup,
  task: LabelledTask,
  { readsMask }: ModelGraph,
  examples: readonly Example[],
): Dataset {
  const how = { readsMask, maxLength };
  if (task.kind !== 'words') return encodeExamples(examples, task.kind, tokenizer, how);
  // In the place of labels, which need not be known, the words' indices: they stand where words begin.
  const marked = examples.map((example) => {
    const texts = example.words?.texts ?? [];
    return { ...example, words: { texts, labels: texts.map((_, word) => word) } };
  });
  return encodeExamples(marked, task.kind, tokenizer, how);
}

/** The logits of every batch of a data set, row-major. */
async function* logitsOf(
  { checkpoint: { config }, tokenizer, settings, device, onNotice }: PredictionSetup,
  { model, executable, values }: Inference,
  dataset: Dataset,
): AsyncGenerator<{ readonly batch: Batch; readonly logits: Float32Array }> {
  const trained = trainedFeeds(model, values);
  const maskToken = model.readsMask ? tokenizer.specialTokens.mask?.id : undefined;
  const room: Room = unlimitedRoom({
    comfortable: comfortableTokens(model, config, device),
    ...(onNotice === undefined ? {} : { onChange: onNotice }),
  });
  for (const batch of evaluationBatches(dataset, Math.max(settings.batchSize, 32), { padId: config.padTokenId })) {
    const feeds = batchFeeds(batch, config, maskToken, model.specialTokens);
    const parts = await runInParts(batch.shape, room, (from, to) =>
      executable.run({ ...trained, ...sliceExamples(feeds, batch.shape[0], from, to) }),
    );
    yield { batch, logits: joinExamples(parts, 'logits') };
  }
}

async function predictExamples(
  setup: PredictionSetup,
  task: Exclude<Task, { kind: 'masked-words' | 'words' }>,
  inference: Inference,
  dataset: Dataset,
): Promise<readonly Prediction[]> {
  const width = outputCount(task);
  const outputs = new Float32Array(dataset.count * width);
  for await (const { batch, logits } of logitsOf(setup, inference, dataset))
    scatterRows(outputs, width, batch.indices, logits);
  return Array.from({ length: dataset.count }, (_, row): Prediction => {
    if (task.kind === 'regression') return { kind: 'score', score: outputs[row] ?? NaN };
    const probabilities = softmax(outputs.subarray(row * width, (row + 1) * width));
    return { kind: 'class', label: greatest(outputs, row * width, width), probabilities };
  });
}

/** exp(xᵢ) / Σ exp(xⱼ), without overflow. */
function softmax(logits: Float32Array): readonly number[] {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** The label of each word: that of the token at which it begins (Devlin et al. 2019, section 5.3). */
async function predictWords(
  setup: PredictionSetup,
  task: WordTask,
  inference: Inference,
  dataset: Dataset,
  examples: readonly Example[],
): Promise<readonly Prediction[]> {
  const width = outputCount(task);
  const { tokenLabels, offsets } = dataset;
  const labels = examples.map(({ words }) => new Array<number | undefined>(words?.texts.length ?? 0).fill(undefined));
  for await (const { batch, logits } of logitsOf(setup, inference, dataset)) {
    const [, tokens] = batch.shape;
    for (const [row, index] of batch.indices.entries()) {
      const [from, to] = [offsets[index] ?? 0, offsets[index + 1] ?? 0];
      const own = labels[index] ?? [];
      for (let at = from; at < to; at++) {
        const word = tokenLabels?.[at] ?? IGNORED_LABEL;
        if (word !== IGNORED_LABEL) own[word] = greatest(logits, (row * tokens + at - from) * width, width);
      }
    }
  }
  return labels.map((own) => ({ kind: 'words', labels: own }));
}

/** What is predicted of an example as metrics and GLUE's server take it: the class's index, or the score. */
export function predictedNumber(prediction: Prediction): number {
  return prediction.kind === 'class' ? prediction.label : prediction.kind === 'score' ? prediction.score : NaN;
}

/**
 * The task's metrics of predictions whose labels are known; where words are labelled, words that were cut off are not scored. Nothing where
 * examples have no labels.
 */
export function scorePredictions(
  task: Task,
  predictions: readonly Prediction[],
  examples: readonly Example[],
): Readonly<Record<string, number>> | undefined {
  if (examples.length === 0 || examples.some(({ label }) => label === unlabelled)) return undefined;
  if (task.kind === 'words') {
    const [predicted, known, starts]: [number[], number[], number[]] = [[], [], [0]];
    for (const [index, prediction] of predictions.entries()) {
      for (const [word, label] of (prediction.kind === 'words' ? prediction.labels : []).entries()) {
        if (label === undefined) continue;
        predicted.push(label);
        known.push(examples[index]?.words?.labels[word] ?? NaN);
      }
      starts.push(known.length);
    }
    return evaluateWords(task, predicted, known, starts);
  }
  return evaluateTask(
    task,
    predictions.map(predictedNumber),
    examples.map(({ label }) => label),
  );
}
