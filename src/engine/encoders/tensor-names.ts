import type { EncoderModule, EncoderTensor } from '../../peft/method.ts';
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

/** The module's name as Hugging Face has it in this family, within its layer: `attention.self.query`, `ffn.lin1`. */
export function moduleName(config: EncoderConfig, module: EncoderModule): string {
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

/** What checkpoints of a family put before every name; some are saved without it. */
export function tensorPrefix(config: EncoderConfig): string {
  return `${config.family}.`;
}

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
