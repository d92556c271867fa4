import { permutation, randomStream } from '../../base/random.ts';
import { IGNORED_LABEL } from '../../tasks/losses.ts';
import type { Dataset } from './dataset.ts';
import { exampleAt, lengthsOf } from './dataset.ts';

/**
 * The order of the data: which examples form which batch, as a pure function of (seed, epoch), so that a position (epoch, batch)
 * is all that a checkpoint needs.
 */
export interface BatchPlan {
  /** Every example once. */
  readonly order: Uint32Array;
  /** Batch b is order[starts[b], starts[b + 1]). */
  readonly starts: Uint32Array;
}

export interface EpochOptions {
  readonly batchSize: number;
  readonly seed: number;
  /** From 0. */
  readonly epoch: number;
  /** Batches per window within which examples are sorted by length: 1 keeps a plain shuffle, more means less padding. */
  readonly window?: number;
}

const defaultWindow = 50;

/** The number of batches of an epoch; the last one may be smaller. */
export function batchCount(examples: number, batchSize: number): number {
  return Math.ceil(examples / batchSize);
}

/**
 * The examples of one batch of a plan, as indices into the split.
 * @throws RangeError for a batch that the plan has not
 */
export function batchIndices({ order, starts }: BatchPlan, batch: number): Uint32Array {
  if (!Number.isInteger(batch) || batch < 0 || batch >= starts.length - 1)
    throw new RangeError(`batch ${batch} of ${starts.length - 1}`);
  return order.subarray(starts[batch], starts[batch + 1]);
}

function requireBatchSize(batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1) throw new RangeError(`batch size ${batchSize}`);
}

/** Sorts part of an order by length, longest first, equal lengths as they stood. */
function sortByLength(order: Uint32Array, lengths: ArrayLike<number>): void {
  order.set(Array.from(order).sort((a, b) => (lengths[b] as number) - (lengths[a] as number)));
}

/**
 * A training epoch: all examples shuffled, sorted by length within windows of `window` batches, cut into batches, the batches
 * shuffled. Every example occurs exactly once. When the count is not a multiple of the batch size the smaller batch comes last;
 * its place among the lengths of its window is drawn, so that no length is favoured.
 * @param lengths tokens of each example
 */
export function planEpoch(lengths: ArrayLike<number>, options: EpochOptions): BatchPlan {
  const { batchSize, seed, epoch, window = defaultWindow } = options;
  requireBatchSize(batchSize);
  const count = lengths.length;
  const batches = batchCount(count, batchSize);
  const random = randomStream(seed, `data.epoch.${epoch}`);
  const sorted = permutation(count, random);
  for (let from = 0; from < count; from += window * batchSize)
    sortByLength(sorted.subarray(from, from + window * batchSize), lengths);

  const remainder = count % batchSize;
  const whole = remainder === 0 ? batches : batches - 1;
  const lastWindow = Math.floor(whole / window) * window;
  const smallAt = remainder === 0 ? batches : lastWindow + random.below(whole - lastWindow + 1);
  const startOf = (slot: number): number => slot * batchSize - (slot > smallAt ? batchSize - remainder : 0);

  const slots = Array.from(permutation(batches, random)).filter((slot) => slot !== smallAt);
  if (remainder > 0) slots.push(smallAt);
  const order = new Uint32Array(count);
  const starts = new Uint32Array(batches + 1);
  let filled = 0;
  for (const [batch, slot] of slots.entries()) {
    const members = sorted.subarray(startOf(slot), startOf(slot + 1));
    order.set(members, filled);
    filled += members.length;
    starts[batch + 1] = filled;
  }
  return { order, starts };
}

/** An evaluation: all examples by length, longest first, so that padding is least and the greatest batch is met at once. */
export function planEvaluation(lengths: ArrayLike<number>, batchSize: number): BatchPlan {
  requireBatchSize(batchSize);
  const order = Uint32Array.from({ length: lengths.length }, (_, i) => i);
  sortByLength(order, lengths);
  const starts = Uint32Array.from({ length: batchCount(lengths.length, batchSize) + 1 }, (_, batch) =>
    Math.min(batch * batchSize, lengths.length),
  );
  return { order, starts };
}

/** A place in the training data: the next batch to compute. */
export interface DataPosition {
  readonly epoch: number;
  readonly batch: number;
}

/**
 * Training batches without end from `from` on, epoch after epoch; the same seed and position always give the same batches.
 */
export function* trainingOrder(
  lengths: ArrayLike<number>,
  options: Omit<EpochOptions, 'epoch'>,
  from: DataPosition = { epoch: 0, batch: 0 },
): Generator<{ readonly position: DataPosition; readonly indices: Uint32Array }, never> {
  if (lengths.length === 0) throw new RangeError('there are no examples to order');
  for (let { epoch, batch } = from; ; epoch++, batch = 0) {
    const plan = planEpoch(lengths, { ...options, epoch });
    for (; batch < plan.starts.length - 1; batch++)
      yield { position: { epoch, batch }, indices: batchIndices(plan, batch) };
  }
}

export interface PaddingOptions {
  /** The vocabulary's padding token (0 in BERT, 1 in RoBERTa). */
  readonly padId: number;
  /** Each batch is padded to its longest example, rounded up to a multiple of this; 1 unless told otherwise. */
  readonly multipleOf?: number;
}

/** A padded batch of B examples and T tokens; the matrices are row-major [B, T], padded on the right. */
export interface Batch {
  readonly shape: readonly [examples: number, tokens: number];
  readonly inputIds: Int32Array;
  /** 1 for a token, 0 for padding. */
  readonly attentionMask: Int32Array;
  readonly typeIds: Int32Array;
  /** 1 for a token that the tokenizer put around the texts. */
  readonly special: Uint8Array;
  /** [B]: class indices as integers, or gold scores; [B, T] where words are labelled. */
  readonly labels: Int32Array | Float32Array;
  readonly labelled: 'examples' | 'words';
  /** The examples' indices in the data set, row by row. */
  readonly indices: Uint32Array;
  /** Tokens that are not padding. */
  readonly tokens: number;
}

function paddedLength(longest: number, multipleOf: number): number {
  return Math.ceil(longest / multipleOf) * multipleOf;
}

/** Pads the examples `indices` of a data set into a batch. */
export function assembleBatch(dataset: Dataset, indices: Uint32Array, options: PaddingOptions): Batch {
  const { padId, multipleOf = 1 } = options;
  const examples = Array.from(indices, (index) => exampleAt(dataset, index));
  const rows = examples.length;
  if (rows === 0) throw new RangeError('a batch of no examples');
  const width = paddedLength(Math.max(...examples.map(({ ids }) => ids.length)), multipleOf);
  const inputIds = new Int32Array(rows * width).fill(padId);
  const attentionMask = new Int32Array(rows * width);
  const typeIds = new Int32Array(rows * width);
  const special = new Uint8Array(rows * width);
  const labels = new Float32Array(rows);
  const tokenLabels = dataset.tokenLabels === undefined ? undefined : new Int32Array(rows * width).fill(IGNORED_LABEL);
  let tokens = 0;
  for (const [row, example] of examples.entries()) {
    const start = row * width;
    inputIds.set(example.ids, start);
    typeIds.set(example.typeIds, start);
    special.set(example.special, start);
    attentionMask.fill(1, start, start + example.ids.length);
    if (example.tokenLabels !== undefined) tokenLabels?.set(example.tokenLabels, start);
    labels[row] = example.label;
    tokens += example.ids.length;
  }
  return {
    shape: [rows, width],
    inputIds,
    attentionMask,
    typeIds,
    special,
    labels: tokenLabels ?? (dataset.kind === 'regression' ? labels : Int32Array.from(labels)),
    labelled: tokenLabels === undefined ? 'examples' : 'words',
    indices,
    tokens,
  };
}

/** Evaluation batches with their rows' places in the data set, see {@link planEvaluation} and {@link scatterRows}. */
export function* evaluationBatches(
  dataset: Dataset,
  batchSize: number,
  options: PaddingOptions,
): Generator<Batch, void> {
  const plan = planEvaluation(lengthsOf(dataset), batchSize);
  for (let batch = 0; batch < plan.starts.length - 1; batch++)
    yield assembleBatch(dataset, batchIndices(plan, batch), options);
}

/**
 * Puts the rows of a batch's output ([B, width], row-major) where their examples stand in the data set.
 * @param target [N, width], row-major
 */
export function scatterRows(
  target: Float32Array | Float64Array,
  width: number,
  indices: Uint32Array,
  rows: ArrayLike<number>,
): void {
  if (rows.length !== indices.length * width)
    throw new RangeError(`${rows.length} numbers are not ${indices.length} rows of ${width}`);
  for (const [row, index] of indices.entries()) {
    if ((index + 1) * width > target.length) throw new RangeError(`row ${index} is outside the target`);
    for (let k = 0; k < width; k++) target[index * width + k] = rows[row * width + k] as number;
  }
}
