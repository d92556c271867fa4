import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomStream } from '../../src/base/random.ts';
import type { EncoderConfig } from '../../src/engine/encoders/config.ts';
import { knownEncoders } from '../../src/engine/encoders/known-sizes.ts';
import { buildModel } from '../../src/engine/model-graph.ts';
import { writeSafetensors } from '../../src/engine/safetensors.ts';

const base = knownEncoders['bert-base-uncased'];
if (base === undefined) throw new Error('bert-base-uncased is not known');

/** The encoders whose steps are measured. */
export const encoders = {
  'bert-base': base,
  'minilm-l6': { ...base, embeddingSize: 384, hiddenSize: 384, intermediateSize: 1536, layers: 6, attentionHeads: 12 },
  'bert-tiny': { ...base, embeddingSize: 128, hiddenSize: 128, intermediateSize: 512, layers: 2, attentionHeads: 2 },
} as const satisfies Record<string, EncoderConfig>;

/**
 * Writes a BERT of these sizes with random weights as Hugging Face lays it out. Speed does not depend on the values, as long as
 * activations stay ordinary numbers: matrices are uniform with BERT's deviation of 0.02, norms begin as the identity.
 */
export async function writeRandomBert(folder: string, config: EncoderConfig): Promise<void> {
  await mkdir(folder, { recursive: true });
  const model = buildModel(
    {
      encoder: config,
      hasPooler: true,
      method: { id: 'full', options: {} },
      objective: { kind: 'classification', labels: 2 },
    },
    { dropout: 'off' },
  );
  const random = randomStream(0, 'bench.checkpoint');
  const bound = 0.02 * Math.sqrt(3);
  const tensors = new Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>();
  for (const { shape, initialiser } of model.trained) {
    if (initialiser.kind !== 'checkpoint') continue;
    const data = new Float32Array(shape.reduce((size, dim) => size * dim, 1));
    if (initialiser.tensor.endsWith('LayerNorm.weight')) data.fill(1);
    else for (let i = 0; i < data.length; i++) data[i] = bound * (random.uint32() * 2 ** -31 - 1);
    tensors.set(`bert.${initialiser.tensor}`, { shape, data });
  }
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
  await writeFile(
    join(folder, 'config.json'),
    JSON.stringify({
      model_type: 'bert',
      architectures: ['BertModel'],
      vocab_size: config.vocabularySize,
      hidden_size: config.hiddenSize,
      intermediate_size: config.intermediateSize,
      num_hidden_layers: config.layers,
      num_attention_heads: config.attentionHeads,
      max_position_embeddings: config.maxPositions,
      type_vocab_size: config.typeVocabularySize,
      layer_norm_eps: config.layerNormEpsilon,
      hidden_act: config.activation,
      pad_token_id: config.padTokenId,
    }),
  );
}
