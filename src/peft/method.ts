import type { z } from 'zod';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';

/** The sizes of an encoder that methods build on. */
export interface EncoderSizes {
  readonly family: EncoderFamily;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly attentionHeads: number;
  readonly hasPooler: boolean;
}

export type EncoderFamily = 'bert' | 'roberta' | 'electra' | 'distilbert';

/** The linear maps of a layer. */
export type Projection = 'query' | 'key' | 'value' | 'attentionOutput' | 'intermediate' | 'output';

/** The encoder's own tensors, by what they do rather than by a family's names. */
export type EncoderModule =
  | 'wordEmbeddings'
  | 'positionEmbeddings'
  | 'typeEmbeddings'
  | 'embeddingNorm'
  | 'embeddingProjection'
  | Projection
  | 'attentionNorm'
  | 'outputNorm'
  | 'pooler';

export interface EncoderTensor {
  readonly module: EncoderModule;
  /** Counted from 0; undefined outside the layers. */
  readonly layer: number | undefined;
  readonly part: 'weight' | 'bias';
}

/** A tensor of the task's head. */
export interface HeadTensor {
  readonly part: 'weight' | 'bias';
  /** Whether it belongs to the map onto the labels, rather than to one before it. */
  readonly final: boolean;
}

/**
 * Where a method meets the encoder, a stack of post-norm layers. Hidden states are `[batch, sequence, hidden]`. A hook returns what
 * takes the place of its argument; a method implements those it needs and never touches the encoder.
 */
export interface MethodHooks {
  /** Whether one of the encoder's own tensors is trained; none is by default. */
  readonly trains?: (tensor: EncoderTensor) => boolean;
  /** Whether a tensor of the head is trained; all are by default. */
  readonly trainsHead?: (tensor: HeadTensor) => boolean;
  /** Hidden states as they enter a layer. */
  readonly beforeLayer?: (x: Value, layer: number) => Value;
  /** The result of a linear map, with the map's input. */
  readonly projection?: (result: Value, x: Value, projection: Projection, layer: number) => Value;
  /** The attention block's output, before the residual sum and its norm. */
  readonly afterAttention?: (x: Value, layer: number) => Value;
  /** The attention block's normalised output. */
  readonly afterAttentionNorm?: (x: Value, layer: number) => Value;
  /** The feed-forward block's output, before the residual sum and the layer's final norm. */
  readonly afterFeedForward?: (x: Value, layer: number) => Value;
}

/** Which head reads what: the family's own, one linear map on the first token, or one at the first mask token of the text. */
export type HeadKind = 'native' | 'linear' | 'mask';

/** What a method asks of the rest of the model. */
export interface MethodPlan {
  readonly hooks: MethodHooks;
  readonly head: HeadKind;
  /** Whether the model's dropout acts while training. */
  readonly dropout: boolean;
}

export interface Method<Options> {
  readonly id: string;
  readonly title: string;
  /** The paper: authors, title, year, arXiv number. */
  readonly citation: string;
  readonly description: string;
  readonly options: z.ZodType<Options>;
  /** Declares the method's tensors and makes its hooks. @throws UserError when the options do not fit the encoder */
  readonly build: (options: Options, encoder: EncoderSizes, scope: ParameterScope) => MethodPlan;
}
