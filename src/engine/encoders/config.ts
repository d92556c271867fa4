import { z } from 'zod';
import { FileError } from '../../base/errors.ts';
import type { EncoderFamily, TextKind } from '../../peft/method.ts';

/** What a `config.json` says of an encoder of the BERT family, under one set of names. */
export interface EncoderConfig {
  readonly family: EncoderFamily;
  readonly vocabularySize: number;
  readonly embeddingSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly attentionHeads: number;
  readonly maxPositions: number;
  /** Rows of the token-type table; 0 where there is none (DistilBERT). */
  readonly typeVocabularySize: number;
  readonly padTokenId: number;
  readonly layerNormEpsilon: number;
  readonly activation: 'gelu' | 'gelu_new' | 'relu';
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  /** Dropout before the maps of a head, by what the head reads; of spans, none in most families. */
  readonly headDropout: { readonly sequence: number; readonly token: number; readonly span?: number };
}

/** Names in transformers of what is one and the same function, each computed in a way of its own. */
const activation = z
  .enum(['gelu', 'gelu_python', 'gelu_new', 'gelu_pytorch_tanh', 'gelu_fast', 'relu'])
  .default('gelu')
  .transform((name): EncoderConfig['activation'] => {
    if (name === 'relu') return name;
    return name === 'gelu' || name === 'gelu_python' ? 'gelu' : 'gelu_new';
  });
const size = z.int().positive();
const rate = z.number().min(0).lt(1);

const bertLike = z.object({
  vocab_size: size,
  embedding_size: size.optional(),
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  max_position_embeddings: size,
  type_vocab_size: size.default(2),
  pad_token_id: z.int().nonnegative().nullish(),
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_act: activation,
  hidden_dropout_prob: rate.default(0.1),
  attention_probs_dropout_prob: rate.default(0.1),
  classifier_dropout: rate.nullish(),
  position_embedding_type: z.literal('absolute').optional(),
  // A decoder's attention looks back alone, which nothing here computes.
  is_decoder: z.literal(false).nullish(),
});

const distilbertLike = z.object({
  vocab_size: size,
  dim: size,
  hidden_dim: size,
  n_layers: size,
  n_heads: size,
  max_position_embeddings: size,
  pad_token_id: z.int().nonnegative().nullish(),
  activation,
  dropout: rate.default(0.1),
  attention_dropout: rate.default(0.1),
  seq_classif_dropout: rate.default(0.2),
  qa_dropout: rate.default(0.1),
});

const families: ReadonlyMap<string, EncoderFamily> = new Map([
  ['bert', 'bert'],
  ['roberta', 'roberta'],
  ['xlm-roberta', 'roberta'],
  ['electra', 'electra'],
  ['distilbert', 'distilbert'],
]);

/** The family of a `model_type`; undefined where it is not supported. */
export function familyOf(modelType: string): EncoderFamily | undefined {
  return families.get(modelType);
}

function parse<T>(schema: z.ZodType<T>, raw: unknown, file: string): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new FileError(file, undefined, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not valid'}`);
}

/**
 * Reads the parsed contents of a `config.json`.
 * @throws FileError when the model is of another family, or a size is missing or impossible
 */
export function parseEncoderConfig(raw: unknown, file: string): EncoderConfig {
  const { model_type: type } = parse(z.object({ model_type: z.string() }), raw, file);
  const family = familyOf(type);
  if (family === undefined) {
    throw new FileError(
      file,
      undefined,
      `model_type "${type}" is not supported`,
      `Supported: ${[...families.keys()].join(', ')}.`,
    );
  }
  const config =
    family === 'distilbert'
      ? distilbertConfig(parse(distilbertLike, raw, file))
      : bertConfig(family, parse(bertLike, raw, file));
  if (config.hiddenSize % config.attentionHeads !== 0) {
    throw new FileError(
      file,
      undefined,
      `hidden size ${config.hiddenSize} is not a multiple of ${config.attentionHeads} attention heads`,
    );
  }
  return config;
}

function bertConfig(family: EncoderFamily, raw: z.infer<typeof bertLike>): EncoderConfig {
  const headDropout = raw.classifier_dropout ?? raw.hidden_dropout_prob;
  return {
    family,
    vocabularySize: raw.vocab_size,
    embeddingSize: raw.embedding_size ?? raw.hidden_size,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    attentionHeads: raw.num_attention_heads,
    maxPositions: raw.max_position_embeddings,
    typeVocabularySize: raw.type_vocab_size,
    padTokenId: raw.pad_token_id ?? (family === 'roberta' ? 1 : 0),
    layerNormEpsilon: raw.layer_norm_eps,
    activation: raw.hidden_act,
    hiddenDropout: raw.hidden_dropout_prob,
    attentionDropout: raw.attention_probs_dropout_prob,
    headDropout: { sequence: headDropout, token: headDropout },
  };
}

function distilbertConfig(raw: z.infer<typeof distilbertLike>): EncoderConfig {
  return {
    family: 'distilbert',
    vocabularySize: raw.vocab_size,
    embeddingSize: raw.dim,
    hiddenSize: raw.dim,
    intermediateSize: raw.hidden_dim,
    layers: raw.n_layers,
    attentionHeads: raw.n_heads,
    maxPositions: raw.max_position_embeddings,
    typeVocabularySize: 0,
    padTokenId: raw.pad_token_id ?? 0,
    layerNormEpsilon: 1e-12,
    activation: raw.activation,
    hiddenDropout: raw.dropout,
    attentionDropout: raw.attention_dropout,
    headDropout: { sequence: raw.seq_classif_dropout, token: raw.dropout, span: raw.qa_dropout },
  };
}

/** Positions that text can take: RoBERTa's begin after the padding id. */
export function usablePositions(config: EncoderConfig): number {
  return config.family === 'roberta' ? config.maxPositions - config.padTokenId - 1 : config.maxPositions;
}

/** The special tokens that the family's tokenizer puts around one text and around two. */
export function specialTokenCounts({ family }: Pick<EncoderConfig, 'family'>): Readonly<Record<TextKind, number>> {
  return { single: 2, pair: family === 'roberta' ? 4 : 3 };
}
