import { geluTanh, linear } from '../graph/functions.ts';
import {
  add,
  dimAt,
  gather,
  gelu,
  input,
  layerNorm,
  matmul,
  multiply,
  relu,
  reshape,
  scalar,
  slice,
  softmax,
  takeRows,
  transpose,
  where,
  equal,
} from '../graph/operations.ts';
import { symbol } from '../graph/dims.ts';
import type { Value } from '../graph/value.ts';
import type { EncoderTensor, MethodHooks, Projection } from '../../peft/method.ts';
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

export function encoderInputs(): EncoderInputs {
  const field = (name: string): Value => input(name, 'int32', [BATCH, SEQUENCE]);
  return {
    inputIds: field('input_ids'),
    attentionMask: field('attention_mask'),
    typeIds: field('token_type_ids'),
    positionIds: field('position_ids'),
  };
}

/** Which tokens of the last layer are needed: all, the first, or one a row at `positions` int32 `[batch, 1]`. */
export type NeededTokens =
  { readonly kind: 'all' } | { readonly kind: 'first' } | { readonly kind: 'at'; readonly positions: Value };

/** How the builder reaches tensors and randomness. */
export interface EncoderScope {
  /** One of the encoder's tensors, frozen or trained. */
  readonly tensor: (tensor: EncoderTensor) => Value;
  /** Dropout while training, the value itself otherwise. */
  readonly dropout: (x: Value, rate: number) => Value;
}

export interface EncodedText {
  /** The last layer's output: `[batch, sequence, hidden]`, or `[batch, 1, hidden]` when one token a row was needed. */
  readonly hidden: Value;
  /** Each layer's output, `[batch, sequence, hidden]` (the last one as `hidden`). */
  readonly layerOutputs: readonly Value[];
}

/** Added to the scores of padding; the softmax turns it into an exact zero. */
const HIDDEN_SCORE = -3.4028234663852886e38;

/**
 * The encoder of `config` with a method's hooks at its fixed points: embeddings, then post-norm layers. When only one
 * token a row is needed, the last layer computes queries, output projection and feed-forward for that token alone, which is exact.
 */
export function buildEncoder(
  config: EncoderConfig,
  inputs: EncoderInputs,
  hooks: MethodHooks,
  scope: EncoderScope,
  needed: NeededTokens,
): EncodedText {
  const mask = additiveMask(inputs.attentionMask);
  let x = embed(config, inputs, scope);
  const layerOutputs: Value[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const entering = hooks.beforeLayer?.(x, layer) ?? x;
    const last = layer === config.layers - 1;
    x = encoderLayer(config, entering, mask, layer, hooks, scope, last ? needed : { kind: 'all' });
    layerOutputs.push(x);
  }
  return { hidden: x, layerOutputs };
}

/** 0 for text and a hugely negative number for padding, float32 `[batch, 1, 1, sequence]`. */
function additiveMask(attentionMask: Value): Value {
  const [batch, sequence] = [dimAt(attentionMask, 0), dimAt(attentionMask, 1)];
  return reshape(where(equal(attentionMask, 0), scalar(HIDDEN_SCORE), scalar(0)), [batch, 1, 1, sequence]);
}

function embed(config: EncoderConfig, inputs: EncoderInputs, scope: EncoderScope): Value {
  const table = (module: EncoderTensor['module']): Value => scope.tensor({ module, layer: undefined, part: 'weight' });
  const words = gather(table('wordEmbeddings'), inputs.inputIds);
  const positions = gather(table('positionEmbeddings'), inputs.positionIds);
  const sum =
    config.typeVocabularySize === 0
      ? add(words, positions)
      : add(add(words, gather(table('typeEmbeddings'), inputs.typeIds)), positions);
  const normed = normalise(config, sum, 'embeddingNorm', undefined, scope);
  const dropped = scope.dropout(normed, config.hiddenDropout);
  if (config.embeddingSize === config.hiddenSize) return dropped;
  const bias = scope.tensor({ module: 'embeddingProjection', layer: undefined, part: 'bias' });
  return linear(dropped, table('embeddingProjection'), bias);
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

/** The needed tokens of `[batch, sequence, hidden]`. */
export function selectTokens(x: Value, needed: NeededTokens): Value {
  switch (needed.kind) {
    case 'all':
      return x;
    case 'first':
      return slice(x, 1, 0, 1);
    case 'at':
      return takeRows(x, needed.positions);
  }
}

function activate(config: EncoderConfig, x: Value): Value {
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
  mask: Value,
  layer: number,
  hooks: MethodHooks,
  scope: EncoderScope,
  needed: NeededTokens,
): Value {
  const project = (source: Value, projection: Projection): Value => {
    const weight = scope.tensor({ module: projection, layer, part: 'weight' });
    const bias = scope.tensor({ module: projection, layer, part: 'bias' });
    const result = linear(source, weight, bias);
    return hooks.projection?.(result, source, projection, layer) ?? result;
  };
  const residual = selectTokens(x, needed);
  const context = attend(config, project(residual, 'query'), project(x, 'key'), project(x, 'value'), mask, scope);
  const attention = scope.dropout(project(context, 'attentionOutput'), config.hiddenDropout);
  const adapted = hooks.afterAttention?.(attention, layer) ?? attention;
  const normed = normalise(config, add(residual, adapted), 'attentionNorm', layer, scope);
  const middle = hooks.afterAttentionNorm?.(normed, layer) ?? normed;
  const wide = activate(config, project(middle, 'intermediate'));
  const fed = scope.dropout(project(wide, 'output'), config.hiddenDropout);
  const fedAdapted = hooks.afterFeedForward?.(fed, layer) ?? fed;
  return normalise(config, add(middle, fedAdapted), 'outputNorm', layer, scope);
}

/** Scaled dot-product attention: queries `[batch, tokens, hidden]`, keys and values `[batch, sequence, hidden]`. */
function attend(
  config: EncoderConfig,
  queries: Value,
  keys: Value,
  values: Value,
  mask: Value,
  scope: EncoderScope,
): Value {
  const { attentionHeads: heads, hiddenSize } = config;
  const width = hiddenSize / heads;
  const split = (x: Value, permutation: readonly number[]): Value =>
    transpose(reshape(x, [dimAt(x, 0), dimAt(x, 1), heads, width]), permutation);
  const scaled = multiply(queries, 1 / Math.sqrt(width));
  const scores = add(matmul(split(scaled, [0, 2, 1, 3]), split(keys, [0, 2, 3, 1])), mask);
  const weights = scope.dropout(softmax(scores), config.attentionDropout);
  const context = transpose(matmul(weights, split(values, [0, 2, 1, 3])), [0, 2, 1, 3]);
  return reshape(context, queries.shape);
}
