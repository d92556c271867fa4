import type { EncoderFamily, EncoderModule, EncoderTensor } from '../../peft/method.ts';
import type { EncoderConfig } from './config.ts';

const bertOutside: Partial<Record<EncoderModule, string>> = {
  wordEmbeddings: 'embeddings.word_embeddings',
  positionEmbeddings: 'embeddings.position_embeddings',
  typeEmbeddings: 'embeddings.token_type_embeddings',
  embeddingNorm: 'embeddings.LayerNorm',
  embeddingProjection: 'embeddings_project',
  pooler: 'pooler.dense',
};

const bertLayer: Partial<Record<EncoderModule, string>> = {
  query: 'attention.self.query',
  key: 'attention.self.key',
  value: 'attention.self.value',
  attentionOutput: 'attention.output.dense',
  attentionNorm: 'attention.output.LayerNorm',
  intermediate: 'intermediate.dense',
  output: 'output.dense',
  outputNorm: 'output.LayerNorm',
};

const distilbertLayer: Partial<Record<EncoderModule, string>> = {
  query: 'attention.q_lin',
  key: 'attention.k_lin',
  value: 'attention.v_lin',
  attentionOutput: 'attention.out_lin',
  attentionNorm: 'sa_layer_norm',
  intermediate: 'ffn.lin1',
  output: 'ffn.lin2',
  outputNorm: 'output_layer_norm',
};

type WordModule = 'wordTransform' | 'wordTransformNorm' | 'wordBias';

/** What predicts masked words stands beside the encoder in a checkpoint, under a name of its own. */
const wordModules: Readonly<Record<EncoderFamily, Readonly<Record<WordModule, string>>>> = {
  bert: {
    wordTransform: 'cls.predictions.transform.dense',
    wordTransformNorm: 'cls.predictions.transform.LayerNorm',
    wordBias: 'cls.predictions',
  },
  roberta: { wordTransform: 'lm_head.dense', wordTransformNorm: 'lm_head.layer_norm', wordBias: 'lm_head' },
  electra: {
    wordTransform: 'generator_predictions.dense',
    wordTransformNorm: 'generator_predictions.LayerNorm',
    wordBias: 'generator_lm_head',
  },
  distilbert: {
    wordTransform: 'vocab_transform',
    wordTransformNorm: 'vocab_layer_norm',
    wordBias: 'vocab_projector',
  },
};

/** Whether a module belongs to what predicts masked words. */
export function isWordModule(module: EncoderModule): module is WordModule {
  return module === 'wordTransform' || module === 'wordTransformNorm' || module === 'wordBias';
}

/** The module's name as Hugging Face has it in this family, within its layer: `attention.self.query`, `ffn.lin1`. */
export function moduleName(config: EncoderConfig, module: EncoderModule): string {
  if (isWordModule(module)) return wordModules[config.family][module];
  const name = (config.family === 'distilbert' ? distilbertLayer : bertLayer)[module] ?? bertOutside[module];
  if (name === undefined) throw new Error(`${config.family} has no ${module}`);
  return name;
}

/** The tensor's name in a checkpoint of this family, without the model's prefix: `encoder.layer.0.attention.self.query.weight`. */
export function tensorName(config: EncoderConfig, { module, layer, part }: EncoderTensor): string {
  const stack = config.family === 'distilbert' ? 'transformer.layer' : 'encoder.layer';
  const place = layer === undefined ? '' : `${stack}.${layer}.`;
  return `${place}${moduleName(config, module)}.${part}`;
}

/** What checkpoints of a family put before every name of the encoder; some are saved without it. */
export function tensorPrefix(config: EncoderConfig): string {
  return `${config.family}.`;
}

/** What the encoder's own tensors begin with; all others of a checkpoint belong to heads and stand beside it. */
const ownTensor = /^(embeddings|embeddings_project|encoder|transformer|pooler)\./u;

/** A tensor's name in a checkpoint, with the prefix where the family has it, whether or not `name` carries it. */
export function prefixedName(config: EncoderConfig, name: string): string {
  return ownTensor.test(name) ? `${tensorPrefix(config)}${name}` : name;
}

const tiedToDecoder = (head: string): readonly string[] => [`${head}.decoder.weight`, `${head}.decoder.bias`];

/**
 * What checkpoints of a family may hold once more beside the word embeddings and the bias of the map onto the vocabulary: where these
 * changed and the copies did not, transformers takes them for two different things.
 */
export const tiedCopies: Readonly<Record<EncoderFamily, readonly string[]>> = {
  bert: tiedToDecoder('cls.predictions'),
  roberta: tiedToDecoder('lm_head'),
  electra: ['generator_lm_head.weight'],
  distilbert: ['vocab_projector.weight'],
};

/** The shape of a tensor, as torch stores it. */
export function tensorShape(config: EncoderConfig, { module, part }: EncoderTensor): readonly number[] {
  const { embeddingSize, hiddenSize, intermediateSize } = config;
  const linear = (from: number, to: number): readonly number[] => (part === 'weight' ? [to, from] : [to]);
  switch (module) {
    case 'wordEmbeddings':
      return [config.vocabularySize, embeddingSize];
    case 'positionEmbeddings':
      return [config.maxPositions, embeddingSize];
    case 'typeEmbeddings':
      return [config.typeVocabularySize, embeddingSize];
    case 'embeddingNorm':
      return [embeddingSize];
    case 'embeddingProjection':
      return linear(embeddingSize, hiddenSize);
    case 'query':
    case 'key':
    case 'value':
    case 'attentionOutput':
    case 'pooler':
      return linear(hiddenSize, hiddenSize);
    case 'attentionNorm':
    case 'outputNorm':
      return [hiddenSize];
    case 'intermediate':
      return linear(hiddenSize, intermediateSize);
    case 'output':
      return linear(intermediateSize, hiddenSize);
    case 'wordTransform':
      return linear(hiddenSize, embeddingSize);
    case 'wordTransformNorm':
      return [embeddingSize];
    case 'wordBias':
      return [config.vocabularySize];
  }
}

const embeddingModules: readonly EncoderModule[] = ['wordEmbeddings', 'positionEmbeddings', 'typeEmbeddings'];

const layerModules: readonly EncoderModule[] = [
  'query',
  'key',
  'value',
  'attentionOutput',
  'attentionNorm',
  'intermediate',
  'output',
  'outputNorm',
];

/** Every tensor of an encoder, in the order of a checkpoint; the pooler where the family has one. */
export function encoderTensors(config: EncoderConfig): readonly EncoderTensor[] {
  const both = (module: EncoderModule, layer?: number): EncoderTensor[] => [
    { module, layer, part: 'weight' },
    { module, layer, part: 'bias' },
  ];
  const tables = embeddingModules.filter((module) => module !== 'typeEmbeddings' || config.typeVocabularySize > 0);
  return [
    ...tables.map((module): EncoderTensor => ({ module, layer: undefined, part: 'weight' })),
    ...both('embeddingNorm'),
    ...(config.embeddingSize === config.hiddenSize ? [] : both('embeddingProjection')),
    ...Array.from({ length: config.layers }, (_, layer) =>
      layerModules.flatMap((module) => both(module, layer)),
    ).flat(),
    ...(config.family === 'bert' ? both('pooler') : []),
  ];
}

/** What predicts masked words, in the order of a checkpoint; its map onto the vocabulary is the word embeddings. */
export function wordHeadTensors(): readonly EncoderTensor[] {
  const both = (module: WordModule): EncoderTensor[] => [
    { module, layer: undefined, part: 'weight' },
    { module, layer: undefined, part: 'bias' },
  ];
  return [
    ...both('wordTransform'),
    ...both('wordTransformNorm'),
    { module: 'wordBias', layer: undefined, part: 'bias' },
  ];
}
