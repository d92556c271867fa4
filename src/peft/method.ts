import type { z } from 'zod';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';
import type { Act, Folding } from './folding.ts';

/** The sizes of an encoder that methods build on. */
export interface EncoderSizes {
  readonly family: EncoderFamily;
  readonly hiddenSize: number;
  /** The width of the embedding tables; ELECTRA projects it onto the hidden size. */
  readonly embeddingSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly attentionHeads: number;
  readonly hasPooler: boolean;
  /** What an example of the task is made of. */
  readonly texts: TextKind;
  /** The special tokens that the family's tokenizer puts around one text and around two. */
  readonly specialTokens: Readonly<Record<TextKind, number>>;
}

export type TextKind = 'single' | 'pair';

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
  | 'pooler'
  /** In front of the map onto the vocabulary, when masked words are predicted. */
  | 'wordTransform'
  | 'wordTransformNorm'
  /** Of the map onto the vocabulary; its weight is that of the word embeddings. */
  | 'wordBias';

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

/** Where in the stack a hook is called. */
export interface LayerPlace {
  /** Counted from 0. */
  readonly layer: number;
  /** float32 `[batch, rows, 1]`: 1 for text and added rows, 0 for padding. */
  readonly mask: Value;
  /** The first `slots` special tokens that the tokenizer put around the texts. */
  readonly specialTokens: (slots: number) => SpecialTokenRows;
}

/** Where the special tokens of each example stand among the rows. */
export interface SpecialTokenRows {
  /** int32 `[batch, slots]`; any row where an example has fewer. */
  readonly positions: Value;
  /** float32 `[batch, slots, 1]`: 1 for a special token, 0 where the example has fewer. */
  readonly present: Value;
}

/** A sub-layer, seen from the residual sum that its output goes into. */
export interface SubLayerPlace extends LayerPlace {
  /** What the output is added to, `[batch, rows, hidden]`. */
  readonly residual: Value;
  /** The norm after the residual sum. */
  readonly normalise: (x: Value) => Value;
}

/** Rows that stand in front of a layer's keys and values and that every query sees; each `[1 or batch, count, hidden]`. */
export interface PrefixRows {
  readonly keys: Value;
  readonly values: Value;
}

/**
 * Where a method meets the encoder, a stack of post-norm layers. Hidden states are `[batch, rows, hidden]`, the rows being the text's
 * tokens and those that the method adds. A hook returns what takes the place of its first argument; a method implements those it needs and
 * never touches the encoder.
 */
export interface MethodHooks {
  /** Whether one of the encoder's own tensors is trained; none is by default. */
  readonly trains?: (tensor: EncoderTensor) => boolean;
  /** Whether a tensor of the head is trained; all are by default. */
  readonly trainsHead?: (tensor: HeadTensor) => boolean;
  /** One of the encoder's own tensors, wherever it is used. */
  readonly tensor?: (value: Value, tensor: EncoderTensor) => Value;
  /** Hidden states as they enter a layer. */
  readonly beforeLayer?: (x: Value, place: LayerPlace) => Value;
  /** The input of a linear map. */
  readonly projectionInput?: (x: Value, projection: Projection, place: LayerPlace) => Value;
  /** The result of a linear map, with the map's input. */
  readonly projection?: (result: Value, x: Value, projection: Projection, place: LayerPlace) => Value;
  /** Rows put in front of the layer's keys and values, given the layer's input; this one adds and replaces nothing. */
  readonly prefix?: (x: Value, place: LayerPlace) => PrefixRows;
  /** The attention block's output, before the residual sum and its norm. */
  readonly afterAttention?: (x: Value, place: SubLayerPlace) => Value;
  /** The attention block's normalised output. */
  readonly afterAttentionNorm?: (x: Value, place: LayerPlace) => Value;
  /** The feed-forward block's output, before the residual sum and the layer's final norm. */
  readonly afterFeedForward?: (x: Value, place: SubLayerPlace) => Value;
}

/** Rows that a method puts into every sequence. */
export interface AddedRows {
  readonly count: number;
  /** The rows, `[count, embedding]`; `[count, hidden]` when they enter the layers. */
  readonly rows: Value;
  /**
   * Before the embedding layer they get positions (the text's move behind them), the first type and the embedding norm, as prompt tuning in
   * Hugging Face PEFT; after it they stay as they are, and so do the text's positions. Between the embedding layer and the layers ELECTRA
   * widens what the one gives to what the others take.
   */
  readonly enter: 'before-embedding' | 'after-embedding' | 'before-layers';
  readonly place: 'before-text' | 'after-first-token';
  /** A head that reads one row reads the text's own, or counts as if no row had been added, as the released code of some papers does. */
  readonly headReads: 'text' | 'unshifted';
}

/**
 * Which head reads what: the family's own, one linear map on the first token, RoBERTa's two on the first token, or one linear map at the
 * first mask token of the text.
 */
export type HeadKind = 'native' | 'linear' | 'two-layer' | 'mask';

/** What a method asks of the rest of the model. */
export interface MethodPlan {
  readonly hooks: MethodHooks;
  readonly head: HeadKind;
  /** Whether the model's dropout acts while training where the configuration gives no rate. */
  readonly dropout: boolean;
  readonly rows?: AddedRows;
  /** What is added to the positions of the text; 0 by default. */
  readonly positionOffset?: number;
  /** A linear head on one row reads it through the checkpoint's transform for masked words. */
  readonly headTransform?: boolean;
  /** The hooks of the last layer need every row, also where the head reads one. */
  readonly readsAllRows?: boolean;
  /** What its hooks do to results that hooks of other methods may change too; nothing by default. */
  readonly acts?: readonly Act[];
  /** How it is worked into the encoder for inference. */
  readonly folding: Folding;
}

/** What a method wants of training where a configuration says nothing. */
export interface TrainingDefaults {
  readonly learningRate: number;
  readonly weightDecay?: number;
  readonly warmup?: number;
}

/** What of it is another in differentially private training, where every example's gradient is clipped and noise drowns small ones. */
export interface PrivateDefaults {
  readonly learningRate?: number;
  /** The clipping norm: about what gradients of single examples have at the start, which is mostly the head's part. */
  readonly maxGradNorm?: number;
}

export interface Method<Options> {
  readonly id: string;
  readonly title: string;
  /** The paper: authors, title, year, arXiv number. */
  readonly citation: string;
  readonly description: string;
  readonly options: z.ZodType<Options>;
  readonly training?: TrainingDefaults;
  readonly privately?: PrivateDefaults;
  /** Declares the method's tensors and makes its hooks. @throws UserError when the options do not fit the encoder */
  readonly build: (options: Options, encoder: EncoderSizes, scope: ParameterScope) => MethodPlan;
}
