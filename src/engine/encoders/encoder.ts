import { UserError } from '../../base/errors.ts';
import { addDims, subtractDims, symbol } from '../graph/dims.ts';
import { geluTanh, linear } from '../graph/functions.ts';
import {
  add,
  broadcast,
  cast,
  concat,
  dimAt,
  equal,
  gather,
  gelu,
  input,
  iota,
  layerNorm,
  less,
  matmul,
  multiply,
  pad,
  relu,
  reshape,
  scalar,
  slice,
  softmax,
  subtract,
  takeRows,
  transpose,
  where,
} from '../graph/operations.ts';
import type { Value } from '../graph/value.ts';
import type {
  AddedRows,
  EncoderTensor,
  LayerPlace,
  MethodHooks,
  MethodPlan,
  PrefixRows,
  Projection,
  SpecialTokenRows,
} from '../../peft/method.ts';
import type { EncoderConfig } from './config.ts';

/** What a batch feeds the encoder; each int32 `[batch, sequence]`. */
export interface EncoderInputs {
  readonly inputIds: Value;
  /** 1 for text, 0 for padding. */
  readonly attentionMask: Value;
  readonly typeIds: Value;
  readonly positionIds: Value;
}

export const BATCH = symbol('batch');
export const SEQUENCE = symbol('sequence');

/** What an encoder reads of a batch, each int32 `[batch, sequence]`. */
export function encoderInputs(): EncoderInputs {
  const field = (name: string): Value => input(name, 'int32', [BATCH, SEQUENCE]);
  return {
    inputIds: field('input_ids'),
    attentionMask: field('attention_mask'),
    typeIds: field('token_type_ids'),
    positionIds: field('position_ids'),
  };
}

/** Which rows of the last layer are needed: all, the one at an index, or one an example at `positions` int32 `[batch, 1]`. */
export type NeededRows =
  | { readonly kind: 'all' }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'at'; readonly positions: Value };

/** What a method asks of the encoder. */
export type EncoderChanges = Pick<MethodPlan, 'hooks' | 'rows' | 'positionOffset'>;

/** The places in the position table that a method takes from the text. */
export function positionsTaken({ rows, positionOffset = 0 }: Pick<EncoderChanges, 'rows' | 'positionOffset'>): number {
  return positionOffset + (rows?.enter === 'before-embedding' ? rows.count : 0);
}

/** How the builder reaches tensors and randomness. */
export interface EncoderScope {
  /** One of the encoder's tensors, frozen or trained. */
  readonly tensor: (tensor: EncoderTensor) => Value;
  /** Dropout while training, the value itself otherwise. */
  readonly dropout: (x: Value, rate: number) => Value;
}

export interface EncodedText {
  /** What enters the first layer, `[batch, rows, hidden]`. */
  readonly entering: Value;
  /** The last layer's output: `[batch, rows, hidden]`, or `[batch, 1, hidden]` when one row an example was needed. */
  readonly hidden: Value;
  /** Each layer's output, `[batch, rows, hidden]` (the last one as `hidden`). */
  readonly layerOutputs: readonly Value[];
  /**
   * What enters the norm of the embeddings and the last norm of each layer but the last, `[batch, rows, width]`: all else that the next
   * layer computes with can be computed again from it, without the products that led to it.
   */
  readonly boundaries: readonly Value[];
  /** How many special tokens a method asked for; so many are fed as `special_positions`, int32 `[batch, count]`, -1 for none. */
  readonly specialTokens: number;
}

/** Added to the scores of padding; the softmax turns it into an exact zero. */
const HIDDEN_SCORE = -3.4028234663852886e38;

/**
 * The encoder of `config` with a method's hooks at their fixed points: embeddings, then post-norm layers. When only one row an example is
 * needed, the last layer computes queries, output projection and feed-forward for that row alone, which is exact.
 */
export function buildEncoder(
  config: EncoderConfig,
  inputs: EncoderInputs,
  changes: EncoderChanges,
  scope: EncoderScope,
  needed: NeededRows,
): EncodedText {
  const { hooks } = changes;
  const padding = paddingOf(inputs.attentionMask, changes.rows?.count ?? 0);
  const mask = subtract(1, padding);
  const hidden = multiply(padding, HIDDEN_SCORE);
  const scores = reshape(hidden, [dimAt(hidden, 0), 1, 1, dimAt(hidden, 1)]);
  const special = createSpecialTokens(changes.rows);
  const embedded = embed(config, inputs, changes, scope);
  let x = embedded.rows;
  const boundaries = [embedded.sum];
  const layerOutputs: Value[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const place: LayerPlace = { layer, mask, specialTokens: special.rows };
    const entering = hooks.beforeLayer?.(x, place) ?? x;
    const last = layer === config.layers - 1;
    const made = encoderLayer(config, entering, scores, place, hooks, scope, last ? needed : { kind: 'all' });
    x = made.rows;
    layerOutputs.push(x);
    if (!last) boundaries.push(made.sum);
  }
  return { entering: embedded.rows, hidden: x, layerOutputs, boundaries, specialTokens: special.count() };
}

/** Hands out the rows of special tokens, which stand behind the rows that were added before them. */
function createSpecialTokens(added: AddedRows | undefined): {
  readonly rows: (slots: number) => SpecialTokenRows;
  readonly count: () => number;
} {
  let count = 0;
  let known: SpecialTokenRows | undefined;
  return {
    rows: (slots) => {
      if (known !== undefined && slots !== count) {
        throw new UserError(
          `one part of the method shifts ${count} special tokens, another ${slots}`,
          'Give both parts the same number of slots.',
        );
      }
      count = slots;
      return (known ??= specialTokenRows(input('special_positions', 'int32', [BATCH, slots]), added));
    },
    count: () => count,
  };
}

/** @param fed int32 `[batch, slots]`: places in the text, -1 for none */
function specialTokenRows(fed: Value, added: AddedRows | undefined): SpecialTokenRows {
  const absent = less(fed, 0);
  const positions = where(absent, 0, fed);
  const present = reshape(subtract(1, cast(absent, 'float32')), [...fed.shape, 1]);
  if (added === undefined) return { positions, present };
  const moved = add(positions, scalar(added.count, 'int32'));
  return { present, positions: added.place === 'before-text' ? moved : where(equal(positions, 0), 0, moved) };
}

/** float32 `[batch, rows, 1]`: 1 for padding, 0 for text and for the added rows in front of it. */
function paddingOf(attentionMask: Value, added: number): Value {
  const isPadding = where(equal(attentionMask, 0), scalar(1), scalar(0));
  const padding = added === 0 ? isPadding : pad(isPadding, 1, added, 0);
  return reshape(padding, [...padding.shape, 1]);
}

/** `rows` `[count, width]` put among those of x `[batch, sequence, width]`. */
function insertRows(x: Value, { rows, count, place }: AddedRows): Value {
  const width = dimAt(x, 2);
  const added = broadcast(reshape(rows, [1, count, width]), [dimAt(x, 0), count, width]);
  if (place === 'before-text') return concat([added, x], 1);
  return concat([slice(x, 1, 0, 1), added, slice(x, 1, 1, dimAt(x, 1))], 1);
}

/** The rows of the text among x `[batch, rows, hidden]`. */
export function textRows(x: Value, added: AddedRows | undefined): Value {
  if (added === undefined) return x;
  const { count, place } = added;
  if (place === 'before-text') return slice(x, 1, count, dimAt(x, 1));
  return concat([slice(x, 1, 0, 1), slice(x, 1, 1 + count, dimAt(x, 1))], 1);
}

/** What a part of the encoder computes, and what its last norm takes in. */
interface Made {
  readonly rows: Value;
  readonly sum: Value;
}

function embed(config: EncoderConfig, inputs: EncoderInputs, changes: EncoderChanges, scope: EncoderScope): Made {
  const table = (module: EncoderTensor['module']): Value => scope.tensor({ module, layer: undefined, part: 'weight' });
  const { rows } = changes;
  const early = rows?.enter === 'before-embedding' ? rows : undefined;
  const words = gather(table('wordEmbeddings'), inputs.inputIds);
  const entered = early === undefined ? words : insertRows(words, early);
  const positions = gather(table('positionEmbeddings'), rowPositions(config, inputs, changes));
  const typed =
    config.typeVocabularySize === 0 ? entered : add(entered, rowTypes(table('typeEmbeddings'), inputs, early));
  const sum = add(typed, positions);
  const normed = normalise(config, sum, 'embeddingNorm', undefined, scope);
  const dropped = scope.dropout(normed, config.hiddenDropout);
  const embedded = rows?.enter === 'after-embedding' ? insertRows(dropped, rows) : dropped;
  const bias = (): Value => scope.tensor({ module: 'embeddingProjection', layer: undefined, part: 'bias' });
  const projected =
    config.embeddingSize === config.hiddenSize ? embedded : linear(embedded, table('embeddingProjection'), bias());
  return { rows: rows?.enter === 'before-layers' ? insertRows(projected, rows) : projected, sum };
}

/** Type embeddings of every row that enters the embedding layer; added rows have the first type. */
function rowTypes(table: Value, inputs: EncoderInputs, early: AddedRows | undefined): Value {
  const types = gather(table, inputs.typeIds);
  if (early === undefined) return types;
  const width = dimAt(table, 1);
  return insertRows(types, { ...early, rows: broadcast(slice(table, 0, 0, 1), [early.count, width]) });
}

/** Position ids of every row that enters the embedding layer, int32 `[batch or 1, rows]`. */
function rowPositions(
  config: EncoderConfig,
  inputs: EncoderInputs,
  { rows, positionOffset = 0 }: EncoderChanges,
): Value {
  const roberta = config.family === 'roberta';
  if (rows?.enter === 'before-embedding') {
    // Given embeddings instead of ids, Hugging Face counts every row, padding too.
    const sequence = addDims(dimAt(inputs.inputIds, 1), rows.count);
    const counted = add(iota(sequence), scalar(positionOffset + (roberta ? config.padTokenId + 1 : 0), 'int32'));
    return reshape(counted, [1, sequence]);
  }
  if (positionOffset === 0) return inputs.positionIds;
  const offset = scalar(positionOffset, 'int32');
  // RoBERTa's padding stays at its own position.
  return add(inputs.positionIds, roberta ? multiply(inputs.attentionMask, offset) : offset);
}

function normalise(
  config: EncoderConfig,
  x: Value,
  module: 'embeddingNorm' | 'attentionNorm' | 'outputNorm',
  layer: number | undefined,
  scope: EncoderScope,
): Value {
  const scale = scope.tensor({ module, layer, part: 'weight' });
  const shift = scope.tensor({ module, layer, part: 'bias' });
  return layerNorm(x, scale, shift, config.layerNormEpsilon);
}

/** The needed rows of `[batch, rows, hidden]`. */
export function selectRows(x: Value, needed: NeededRows): Value {
  switch (needed.kind) {
    case 'all':
      return x;
    case 'index':
      return slice(x, 1, needed.index, needed.index + 1);
    case 'at':
      return takeRows(x, needed.positions);
  }
}

/** The activation of the feed-forward blocks. */
export function activate(config: Pick<EncoderConfig, 'activation'>, x: Value): Value {
  switch (config.activation) {
    case 'gelu':
      return gelu(x);
    case 'gelu_new':
      return geluTanh(x);
    case 'relu':
      return relu(x);
  }
}

function encoderLayer(
  config: EncoderConfig,
  x: Value,
  scores: Value,
  place: LayerPlace,
  hooks: MethodHooks,
  scope: EncoderScope,
  needed: NeededRows,
): Made {
  const { layer } = place;
  const project = (source: Value, projection: Projection): Value => {
    const weight = scope.tensor({ module: projection, layer, part: 'weight' });
    const bias = scope.tensor({ module: projection, layer, part: 'bias' });
    const given = hooks.projectionInput?.(source, projection, place) ?? source;
    const result = linear(given, weight, bias);
    return hooks.projection?.(result, given, projection, place) ?? result;
  };
  const addAndNormalise = (
    residual: Value,
    output: Value,
    norm: 'attentionNorm' | 'outputNorm',
    hook: MethodHooks['afterAttention'],
  ): Made => {
    const normalised = (value: Value): Value => normalise(config, value, norm, layer, scope);
    const adapted = hook?.(output, { ...place, residual, normalise: normalised }) ?? output;
    const sum = add(residual, adapted);
    return { rows: normalised(sum), sum };
  };
  const residual = selectRows(x, needed);
  const prefix = hooks.prefix?.(x, place);
  const sources = { queries: project(residual, 'query'), keys: project(x, 'key'), values: project(x, 'value') };
  const context = attend(config, prefix === undefined ? sources : withPrefix(sources, prefix), scores, scope);
  const attended = project(context, 'attentionOutput');
  // DistilBERT drops none of the attention block's output.
  const attention = config.family === 'distilbert' ? attended : scope.dropout(attended, config.hiddenDropout);
  const { rows: normed } = addAndNormalise(residual, attention, 'attentionNorm', hooks.afterAttention);
  const middle = hooks.afterAttentionNorm?.(normed, place) ?? normed;
  const wide = activate(config, project(middle, 'intermediate'));
  const fed = scope.dropout(project(wide, 'output'), config.hiddenDropout);
  return addAndNormalise(middle, fed, 'outputNorm', hooks.afterFeedForward);
}

/** What attention works on: queries `[batch, rows, hidden]`, keys and values `[batch, keys, hidden]`. */
interface AttentionSources {
  readonly queries: Value;
  readonly keys: Value;
  readonly values: Value;
}

function withPrefix({ queries, keys, values }: AttentionSources, prefix: PrefixRows): AttentionSources {
  const before = (rows: Value, x: Value): Value =>
    concat([broadcast(rows, [dimAt(x, 0), dimAt(rows, 1), dimAt(x, 2)]), x], 1);
  return { queries, keys: before(prefix.keys, keys), values: before(prefix.values, values) };
}

/** Scaled dot-product attention; `scores` `[batch, 1, 1, rows]` is added to those of the rows, prefixes before them are seen by all. */
function attend(
  config: EncoderConfig,
  { queries, keys, values }: AttentionSources,
  scores: Value,
  scope: EncoderScope,
): Value {
  const { attentionHeads: heads, hiddenSize } = config;
  const width = hiddenSize / heads;
  const split = (x: Value, permutation: readonly number[]): Value =>
    transpose(reshape(x, [dimAt(x, 0), dimAt(x, 1), heads, width]), permutation);
  const scaled = multiply(queries, 1 / Math.sqrt(width));
  const products = matmul(split(scaled, [0, 2, 1, 3]), split(keys, [0, 2, 3, 1]));
  const prefix = subtractDims(dimAt(keys, 1), dimAt(scores, 3));
  const masked = add(products, prefix === 0 ? scores : pad(scores, 3, prefix, 0));
  const weights = scope.dropout(softmax(masked), config.attentionDropout);
  const context = transpose(matmul(weights, split(values, [0, 2, 1, 3])), [0, 2, 1, 3]);
  return reshape(context, queries.shape);
}
