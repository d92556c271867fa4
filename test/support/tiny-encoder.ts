import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEncoderConfig, type EncoderConfig } from '../../src/engine/encoders/config.ts';
import { encoderTensors, tensorName, tensorPrefix, tensorShape } from '../../src/engine/encoders/tensor-names.ts';
import { draw } from '../../src/engine/initialise.ts';
import { writeSafetensors, type WritableTensor } from '../../src/engine/safetensors.ts';

/** The parsed `config.json` of a BERT of two layers of 16. */
export const tinyConfigJson = {
  model_type: 'bert',
  vocab_size: 60,
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 40,
  type_vocab_size: 2,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
};

function tensorsOf(config: EncoderConfig): Map<string, WritableTensor> {
  const tensors = new Map<string, WritableTensor>();
  for (const tensor of encoderTensors(config)) {
    const name = tensorPrefix(config) + tensorName(config, tensor);
    const shape = tensorShape(config, tensor);
    const isScale = tensor.module.endsWith('Norm') && tensor.part === 'weight';
    tensors.set(name, {
      shape,
      data: draw(isScale ? { kind: 'ones' } : { kind: 'normal', deviation: 0.3 }, name, shape, 1),
    });
  }
  return tensors;
}

/** Writes a folder with a tiny random BERT in Hugging Face layout; `remove` deletes it. */
export async function makeTinyEncoder(): Promise<{ readonly folder: string; readonly remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tiny-encoder-'));
  await writeFile(join(folder, 'config.json'), JSON.stringify(tinyConfigJson));
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    tensorsOf(parseEncoderConfig(tinyConfigJson, 'config.json')),
  );
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
