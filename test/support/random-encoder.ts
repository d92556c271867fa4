import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEncoderConfig } from '../../src/engine/encoders/config.ts';
import { encoderTensors, tensorName, tensorPrefix, tensorShape } from '../../src/engine/encoders/tensor-names.ts';
import { draw } from '../../src/engine/initialise.ts';
import { writeSafetensors, type WritableTensor } from '../../src/engine/safetensors.ts';

/** The pieces of a WordPiece vocabulary: special tokens, every character, and every word that occurs often. */
function vocabularyOf(text: string): readonly string[] {
  const counts = new Map<string, number>();
  const characters = new Set<string>();
  for (const word of text.toLowerCase().match(/[a-z]+|\d|[^\sa-z\d]/g) ?? []) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
    for (const character of word) characters.add(character);
  }
  const words = [...counts].filter(([word, count]) => count >= 4 && word.length > 1).map(([word]) => word);
  const sorted = [...characters].sort();
  return [
    '[PAD]',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    '[MASK]',
    ...sorted,
    ...sorted.map((character) => `##${character}`),
    ...words.sort(),
  ];
}

/**
 * Writes a folder with a BERT of two layers and random weights in Hugging Face layout.
 * @param text the sentences whose words it knows
 * @param hiddenSize a multiple of 4
 */
export async function writeRandomEncoder(folder: string, text: string, hiddenSize = 128): Promise<void> {
  const vocabulary = vocabularyOf(text);
  const json = {
    model_type: 'bert',
    vocab_size: vocabulary.length,
    hidden_size: hiddenSize,
    intermediate_size: hiddenSize * 4,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    max_position_embeddings: 128,
    type_vocab_size: 2,
  };
  const config = parseEncoderConfig(json, 'config.json');
  const tensors = new Map<string, WritableTensor>();
  for (const tensor of encoderTensors(config)) {
    const name = tensorPrefix(config) + tensorName(config, tensor);
    const shape = tensorShape(config, tensor);
    const isScale = tensor.module.endsWith('Norm') && tensor.part === 'weight';
    const law = isScale
      ? ({ kind: 'ones' } as const)
      : tensor.part === 'bias'
        ? ({ kind: 'zeros' } as const)
        : ({ kind: 'normal', deviation: 0.05 } as const);
    tensors.set(name, { shape, data: draw(law, name, shape, 0) });
  }
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify(json));
  await writeFile(join(folder, 'vocab.txt'), vocabulary.join('\n'));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ do_lower_case: true }));
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
}
