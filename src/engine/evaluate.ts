import { IGNORED_LABEL } from '../tasks/losses.ts';
import { evaluateTask, evaluateWords, greatest, predictionsOf } from '../tasks/metrics.ts';
import { outputCount, type Task, type WordTask } from '../tasks/task.ts';
import type { Executable } from './backends/backend.ts';
import { joinExamples, runInParts, sliceExamples, unlimitedRoom, type Room } from './batch-parts.ts';
import { evaluationBatches, scatterRows, type Batch } from './data/batches.ts';
import type { Dataset } from './data/dataset.ts';
import type { EncoderConfig } from './encoders/config.ts';
import { batchFeeds, type NamedTensors } from './feeds.ts';
import { LOSS_SCALE } from './model-graph.ts';
import { maskBatch, type Masking } from './pretraining/masking.ts';

export interface Evaluation {
  /** Mean loss over the examples; where words are labelled, over the words. */
  readonly loss: number;
  /** Every metric of the task by name; `score` is the single number. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** How a model is run over a data set. */
export interface EvaluationOptions {
  readonly batchSize: number;
  readonly config: EncoderConfig;
  readonly maskToken: number | undefined;
  /** How many special tokens of each example the method shifts. */
  readonly specialTokens: number;
  readonly masking?: Masking | undefined;
  /** What is known of the device's memory. */
  readonly room?: Room;
}

/**
 * Runs a model over a data set and scores it.
 * @param executable gives `logits` and each example's `losses`; for masked words `right` in place of `logits`
 * @param trained the trained tensors, as feeds
 */
export async function evaluate(
  executable: Executable,
  task: Task,
  dataset: Dataset,
  trained: NamedTensors,
  options: EvaluationOptions,
): Promise<Evaluation> {
  if (task.kind === 'masked-words') return evaluateMaskedWords(executable, dataset, trained, options);
  if (task.kind === 'words') return evaluateWordLabels(executable, task, dataset, trained, options);
  const width = outputCount(task);
  const outputs = new Float32Array(dataset.count * width);
  let lossSum = 0;
  for await (const { batch, logits, losses } of runOver(executable, dataset, trained, options)) {
    scatterRows(outputs, width, batch.indices, logits);
    for (const loss of losses) lossSum += loss;
  }
  const metrics = evaluateTask(task, predictionsOf(task, outputs), dataset.labels);
  return { loss: lossSum / dataset.count, metrics };
}

/** Held-out text: the mean loss over the masked tokens, and the share of them that is predicted right. The masks are the same every time. */
async function evaluateMaskedWords(
  executable: Executable,
  dataset: Dataset,
  trained: NamedTensors,
  { batchSize, config, masking, room = unlimitedRoom() }: EvaluationOptions,
): Promise<Evaluation> {
  if (masking === undefined) throw new Error('nothing tells how tokens are masked');
  let [loss, right, scored] = [0, 0, 0];
  for (const batch of evaluationBatches(dataset, batchSize, { padId: config.padTokenId })) {
    const { feeds, counts } = maskBatch(batch, config, masking, { kind: 'evaluation' });
    const parts = await runInParts(batch.shape, room, (from, to) =>
      executable.run({
        ...trained,
        ...sliceExamples(feeds, batch.shape[0], from, to),
        [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1) },
      }),
    );
    const [losses, rights] = [joinExamples(parts, 'losses'), joinExamples(parts, 'right')];
    for (const [row, count] of counts.entries()) {
      loss += (losses[row] ?? NaN) * count;
      right += rights[row] ?? NaN;
      scored += count;
    }
  }
  const maskedAccuracy = right / scored;
  return { loss: loss / scored, metrics: { maskedAccuracy, score: maskedAccuracy } };
}

/** The labels of words: each at the token that begins it; words that the greatest length cut off are not scored. */
async function evaluateWordLabels(
  executable: Executable,
  task: WordTask,
  dataset: Dataset,
  trained: NamedTensors,
  options: EvaluationOptions,
): Promise<Evaluation> {
  const { tokenLabels, offsets, count } = dataset;
  if (tokenLabels === undefined) throw new Error('the data set has no labels of words');
  const width = outputCount(task);
  const atTokens = new Int32Array(tokenLabels.length);
  let lossSum = 0;
  for await (const { batch, logits, losses } of runOver(executable, dataset, trained, options)) {
    const [, tokens] = batch.shape;
    for (const [row, index] of batch.indices.entries()) {
      const [from, to] = [offsets[index] ?? 0, offsets[index + 1] ?? 0];
      let scored = 0;
      for (let at = from; at < to; at++) {
        if (tokenLabels[at] === IGNORED_LABEL) continue;
        atTokens[at] = greatest(logits, (row * tokens + at - from) * width, width);
        scored++;
      }
      lossSum += (losses[row] ?? NaN) * scored;
    }
  }
  const starts = [0];
  const places: number[] = [];
  for (let example = 0; example < count; example++) {
    for (let at = offsets[example] ?? 0; at < (offsets[example + 1] ?? 0); at++)
      if (tokenLabels[at] !== IGNORED_LABEL) places.push(at);
    starts.push(places.length);
  }
  const valuesAt = (values: Int32Array): Int32Array => Int32Array.from(places, (at) => values[at] ?? 0);
  const metrics = evaluateWords(task, valuesAt(atTokens), valuesAt(tokenLabels), starts);
  return { loss: lossSum / places.length, metrics };
}

/** The model's outputs for every batch of a data set. */
async function* runOver(
  executable: Executable,
  dataset: Dataset,
  trained: NamedTensors,
  { batchSize, config, maskToken, specialTokens, room = unlimitedRoom() }: EvaluationOptions,
): AsyncGenerator<{ readonly batch: Batch; readonly logits: Float32Array; readonly losses: Float32Array }> {
  for (const batch of evaluationBatches(dataset, batchSize, { padId: config.padTokenId })) {
    const feeds = batchFeeds(batch, config, maskToken, specialTokens);
    const parts = await runInParts(batch.shape, room, (from, to) =>
      executable.run({
        ...trained,
        ...sliceExamples(feeds, batch.shape[0], from, to),
        [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1) },
      }),
    );
    yield { batch, logits: joinExamples(parts, 'logits'), losses: joinExamples(parts, 'losses') };
  }
}
