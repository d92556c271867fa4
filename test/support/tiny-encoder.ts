import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomStream } from '../../src/base/random.ts';
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

/** How a tiny encoder differs from the usual one. */
export interface TinyChanges {
  readonly model_type?: 'bert' | 'roberta';
  readonly num_hidden_layers?: number;
  readonly type_vocab_size?: number;
  /** More words than its tokenizer knows, for tests that write token ids themselves. */
  readonly vocab_size?: number;
  /** Deviation of the embeddings' numbers. */
  readonly embeddingDeviation?: number;
}

function tensorsOf(config: EncoderConfig, embeddingDeviation: number): Map<string, WritableTensor> {
  const tensors = new Map<string, WritableTensor>();
  for (const tensor of encoderTensors(config)) {
    const name = tensorPrefix(config) + tensorName(config, tensor);
    const shape = tensorShape(config, tensor);
    const isScale = tensor.module.endsWith('Norm') && tensor.part === 'weight';
    const deviation = tensor.module.endsWith('Embeddings') ? embeddingDeviation : 0.3;
    tensors.set(name, {
      shape,
      data: draw(isScale ? { kind: 'ones' } : { kind: 'normal', deviation }, name, shape, 1),
    });
  }
  return tensors;
}

/** The words that the tiny model knows: as many, with the special tokens, as it has embeddings. */
const words = (
  'the a film story cast plot ending scene music script is was feels looks very rather truly never always and but this that with ' +
  'good great warm bright funny moving fresh clever charming rich brave lively bad dull cold dark boring empty stale clumsy weak poor flat slow'
).split(' ');
const specialTokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];

/** The vocabulary of the tiny model, one token for each of its embeddings. */
export const tinyVocabulary: readonly string[] = [
  ...specialTokens,
  ...words,
  ...Array.from({ length: tinyConfigJson.vocab_size - specialTokens.length - words.length }, (_, i) => `word${i}`),
];

/**
 * Sentences of the tiny model's words with their labels (1 when the praise outweighs the blame), as the lines of an SST-2 file.
 * @param count of rows
 */
export function tinySentences(count: number, seed: number): string {
  const random = randomStream(seed, 'tiny sentences');
  const [good, bad] = [words.slice(24, 36), words.slice(36)];
  const pick = (from: readonly string[]): string => from[random.below(from.length)] ?? '';
  const rows = Array.from({ length: count }, () => {
    const label = random.below(2);
    const opinions = label === 1 ? good : bad;
    const filler = Array.from({ length: 1 + random.below(6) }, () => pick(words.slice(0, 24)));
    return `the ${pick(['film', 'story', 'cast', 'plot'])} is ${pick(opinions)} and ${pick(opinions)} ${filler.join(' ')}\t${label}`;
  });
  return `sentence\tlabel\n${rows.join('\n')}\n`;
}

/** Writes a folder with a tiny random encoder, a BERT unless said otherwise, and BERT's tokenizer in Hugging Face layout; `remove` deletes it. */
export async function makeTinyEncoder({ embeddingDeviation = 0.3, ...changes }: TinyChanges = {}): Promise<{
  readonly folder: string;
  readonly remove: () => Promise<void>;
}> {
  const config = { ...tinyConfigJson, ...(changes.model_type === 'roberta' ? { pad_token_id: 1 } : {}), ...changes };
  const folder = await mkdtemp(join(tmpdir(), 'tiny-encoder-'));
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(join(folder, 'vocab.txt'), tinyVocabulary.map((token) => `${token}\n`).join(''));
  await writeFile(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ tokenizer_class: 'BertTokenizer', do_lower_case: true }),
  );
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    tensorsOf(parseEncoderConfig(config, 'config.json'), embeddingDeviation),
  );
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
