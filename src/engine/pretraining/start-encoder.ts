import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../../base/errors.ts';
import type { EncoderTensor } from '../../peft/method.ts';
import { parseEncoderConfig } from '../encoders/config.ts';
import { encoderTensors, prefixedName, tensorName, tensorShape, wordHeadTensors } from '../encoders/tensor-names.ts';
import { draw, type DrawnInitialiser } from '../initialise.ts';
import { writeSafetensors, type WritableTensor } from '../safetensors.ts';
import { tokenizerFiles } from '../tokenizers/learn-word-pieces.ts';
import { teacherEmbeddings } from './teacher-embeddings.ts';

/** BERT's start values: weights from N(0, 0.02²), biases zero, norms the identity. */
function lawOf({ module, part }: EncoderTensor): DrawnInitialiser {
  if (part === 'bias') return { kind: 'zeros' };
  return /norm$/iu.test(module) ? { kind: 'ones' } : { kind: 'normal', deviation: 0.02 };
}

/**
 * Writes an encoder with random weights and a new vocabulary in Hugging Face layout, to be pretrained from scratch. It has no pooler, which
 * masked words would not train.
 * @param sizes the parsed `config.json` of a BERT; its `vocab_size` is replaced
 * @param file where the sizes come from, for messages
 * @param teacher the folder of an encoder that word embeddings are taken from ({@link teacherEmbeddings}); drawn like the rest when absent
 * @throws FileError when the sizes are not those of a BERT, or the teacher does not fit
 */
export async function writeStartEncoder(
  folder: string,
  sizes: unknown,
  file: string,
  vocabulary: readonly string[],
  seed: number,
  teacher?: string,
): Promise<void> {
  const json = {
    ...(sizes as object),
    model_type: 'bert',
    architectures: ['BertForMaskedLM'],
    vocab_size: vocabulary.length,
    pad_token_id: 0,
    tie_word_embeddings: true,
  };
  const config = parseEncoderConfig(json, file);
  if (config.family !== 'bert')
    throw new FileError(file, undefined, 'is not the configuration of a BERT', 'Only BERT can be made from scratch.');
  const tensors = new Map<string, WritableTensor>();
  for (const tensor of [...encoderTensors(config).filter(({ module }) => module !== 'pooler'), ...wordHeadTensors()]) {
    const name = prefixedName(config, tensorName(config, tensor));
    const shape = tensorShape(config, tensor);
    const data =
      tensor.module === 'wordEmbeddings' && teacher !== undefined
        ? await teacherEmbeddings(teacher, vocabulary, config.hiddenSize)
        : draw(lawOf(tensor), name, shape, seed);
    tensors.set(name, { shape, data });
  }
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(json, undefined, 2)}\n`);
  for (const [name, text] of Object.entries(tokenizerFiles(vocabulary, config.maxPositions)))
    await writeFile(join(folder, name), text);
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
}
