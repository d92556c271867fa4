import { randomStream, type RandomStream } from '../base/random.ts';
import type { TensorData } from './backends/backend.ts';
import type { Batch } from './data/batches.ts';
import { READ_MASK } from './data/mask-text.ts';
import type { EncoderConfig } from './encoders/config.ts';
import { divideDims, evaluateDim, evaluateShape, type Bindings, type Dim } from './graph/dims.ts';
import type { DropoutSite } from './graph/random-mask.ts';

/** The tensors that a run of a graph is fed, by input name. */
export type NamedTensors = Record<string, TensorData>;

/** Position ids as the family counts them: from 0, or for RoBERTa from the padding id + 1 with padding at the padding id. */
function positionIds(attentionMask: Int32Array, tokens: number, config: EncoderConfig): Int32Array {
  const positions = new Int32Array(attentionMask.length);
  const roberta = config.family === 'roberta';
  for (let row = 0; row < attentionMask.length; row += tokens) {
    let seen = 0;
    for (let t = 0; t < tokens; t++) {
      if (!roberta) positions[row + t] = t;
      else if (attentionMask[row + t] === 0) positions[row + t] = config.padTokenId;
      else positions[row + t] = config.padTokenId + ++seen;
    }
  }
  return positions;
}

/**
 * Types of tokens as far as the model tells them apart: a RoBERTa with BERT's tokenizer knows one type alone, and all tokens are of that, as
 * where its own tokenizer is used.
 */
function knownTypes(typeIds: Int32Array, { typeVocabularySize }: EncoderConfig): Int32Array {
  return typeVocabularySize === 1 ? new Int32Array(typeIds.length) : typeIds;
}

/** The encoder's inputs for a padded batch. */
export function encoderFeeds(
  fields: { readonly inputIds: Int32Array; readonly attentionMask: Int32Array; readonly typeIds: Int32Array },
  shape: readonly [examples: number, tokens: number],
  config: EncoderConfig,
): NamedTensors {
  const tensor = (data: Int32Array): TensorData => ({ dtype: 'int32', shape, data });
  return {
    input_ids: tensor(fields.inputIds),
    attention_mask: tensor(fields.attentionMask),
    token_type_ids: tensor(knownTypes(fields.typeIds, config)),
    position_ids: tensor(positionIds(fields.attentionMask, shape[1], config)),
  };
}

/** The first position of `token` in each row, `[batch, 1]`. @throws Error if a row lacks it */
export function firstPositions(
  ids: Int32Array,
  [rows, tokens]: readonly [number, number],
  token: number,
): TensorData & { readonly data: Int32Array } {
  const data = new Int32Array(rows);
  for (let row = 0; row < rows; row++) {
    const at = ids.subarray(row * tokens, (row + 1) * tokens).indexOf(token);
    if (at < 0) throw new Error(`row ${row} of the batch has no token ${token}`);
    data[row] = at;
  }
  return { dtype: 'int32', shape: [rows, 1], data };
}

/** Where the mask token that the head reads stands in each row, `[batch, 1]`: the marked one, or the first. @throws Error if a row lacks it */
function maskPositions({ inputIds, special, shape }: Batch, token: number): TensorData {
  const first = firstPositions(inputIds, shape, token);
  const data = Int32Array.from(first.data, (at, row) => {
    const marked = special.subarray(row * shape[1], (row + 1) * shape[1]).indexOf(READ_MASK);
    return marked < 0 ? at : marked;
  });
  return { ...first, dtype: 'int32', data };
}

/**
 * Where the first `count` special tokens of each row stand, int32 `[batch, count]`, -1 where a row has fewer.
 * @param special row-major `[batch, tokens]`: 1 on the tokens that the tokenizer put around the texts
 */
export function specialPositions(
  special: ArrayLike<number>,
  [rows, tokens]: readonly [number, number],
  count: number,
): TensorData {
  const data = new Int32Array(rows * count).fill(-1);
  for (let row = 0; row < rows; row++) {
    for (let t = 0, slot = 0; t < tokens && slot < count; t++) {
      if (special[row * tokens + t] === 1) data[row * count + slot++] = t;
    }
  }
  return { dtype: 'int32', shape: [rows, count], data };
}

/**
 * Everything a batch of a task feeds but the loss scale and the dropout keys.
 * @param maskToken where the head reads it
 * @param specialTokens how many of them the method shifts
 */
export function batchFeeds(
  batch: Batch,
  config: EncoderConfig,
  maskToken: number | undefined,
  specialTokens = 0,
): NamedTensors {
  const shape = batch.labelled === 'words' ? batch.shape : [batch.shape[0]];
  const labels: TensorData =
    batch.labels instanceof Float32Array
      ? { dtype: 'float32', shape, data: batch.labels }
      : { dtype: 'int32', shape, data: batch.labels };
  return {
    ...encoderFeeds(batch, batch.shape, config),
    labels,
    ...(maskToken === undefined ? {} : { mask_positions: maskPositions(batch, maskToken) }),
    ...(specialTokens === 0 ? {} : { special_positions: specialPositions(batch.special, batch.shape, specialTokens) }),
  };
}

/** The random words of every dropout site, a pure function of seed, optimiser step, micro-batch and site. For training in private see {@link dropoutWordsByExample}. */
export function dropoutWords(
  sites: readonly DropoutSite[],
  sizes: Bindings,
  position: { readonly seed: number; readonly step: number; readonly microBatch: number },
): NamedTensors {
  const feeds: NamedTensors = {};
  const stream = `dropout.${position.step}.${position.microBatch}`;
  for (const [index, site] of sites.entries()) {
    const random = randomStream(position.seed, `${stream}.${index}`);
    const rows = new Int32Array(evaluateDim(site.rows, sizes));
    for (let i = 0; i < rows.length; i++) rows[i] = random.uint32() | 1;
    const columns = evaluateDim(site.columns, sizes);
    const words = new Int32Array(2 * columns);
    for (let i = 0; i < words.length; i++) words[i] = random.uint32();
    feeds[site.rowInput] = { dtype: 'int32', shape: [rows.length], data: rows };
    feeds[site.columnInput] = { dtype: 'int32', shape: [2, columns], data: words };
  }
  return feeds;
}

/** Every combination of coordinates within these sizes, row-major. */
function coordinates(sizes: readonly number[]): readonly (readonly number[])[] {
  return sizes.reduce<readonly (readonly number[])[]>(
    (outer, size) => outer.flatMap((at) => Array.from({ length: size }, (_, i) => [...at, i])),
    [[]],
  );
}

/**
 * Random words of every dropout site that belong to the examples themselves: an example's mask is a pure function of seed, optimiser step,
 * what stands for the example and the place within it, whatever stands beside it, however long that is and in whichever pass it is computed.
 * In private training the sensitivity of a step rests on it: one example more or fewer must leave the gradients of all others as they are,
 * also where it moves their indices.
 * @param batch the symbol that counts examples in the sites' shapes
 * @param position `examples`: a word that stands for each row's example, in private training one of its content
 */
export function dropoutWordsByExample(
  sites: readonly DropoutSite[],
  sizes: Bindings,
  batch: Dim,
  position: { readonly seed: number; readonly step: number; readonly examples: Uint32Array },
): { readonly ofExamples: NamedTensors; readonly shared: NamedTensors } {
  const ofExamples: NamedTensors = {};
  const shared: NamedTensors = {};
  for (const [index, site] of sites.entries()) {
    const stream = (name: string): RandomStream =>
      randomStream(position.seed, `dropout.${position.step}.site.${index}.${name}`);
    const [first = 1, ...inner] = site.leading;
    const perExample = divideDims(first, batch);
    const rows = new Int32Array(evaluateDim(site.rows, sizes));
    const axes = evaluateShape([perExample ?? first, ...inner], sizes);
    // What varies with the length of a batch must not move what comes after it: only along the last axis words follow one another.
    const along = axes.at(-1) ?? 1;
    const outer = coordinates(axes.slice(0, -1));
    let at = 0;
    const draw = (name: string): void => {
      for (const place of outer) {
        const random = stream(`${name}.${place.join('.')}`);
        for (let i = 0; i < along; i++) rows[at++] = random.uint32() | 1;
      }
    };
    if (perExample === undefined) draw('rows');
    else for (const example of position.examples) draw(`example.${example}`);
    const columns = evaluateDim(site.columns, sizes);
    const words = new Int32Array(2 * columns);
    for (const half of [0, 1]) {
      const random = stream(`columns.${half}`);
      for (let i = 0; i < columns; i++) words[half * columns + i] = random.uint32();
    }
    const tensor: TensorData = { dtype: 'int32', shape: [rows.length], data: rows };
    if (perExample === undefined) shared[site.rowInput] = tensor;
    else ofExamples[site.rowInput] = tensor;
    shared[site.columnInput] = { dtype: 'int32', shape: [2, columns], data: words };
  }
  return { ofExamples, shared };
}
