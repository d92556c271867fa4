import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EncoderCheckpoint } from '../encoder-checkpoint.ts';
import { prefixedName } from '../encoders/tensor-names.ts';
import { toHalf } from '../half.ts';
import { readTensors, writeSafetensors, type WritableTensor } from '../safetensors.ts';
import { readJson } from '../text-files.ts';

/** Files of a model's folder that belong to its tokenizer. */
const tokenizerNames = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
];

/** What trained tensors of the encoder are called in a run. */
const trainedPrefix = 'base.';

export interface ExportOptions {
  readonly precision: 'float16' | 'float32';
}

/**
 * Writes a trained encoder in Hugging Face layout: the checkpoint that it began from with the trained tensors in the place of its own, the
 * map onto the vocabulary included where it was trained, its configuration and its tokenizer.
 * @param values the run's trained tensors, row-major; those that are not the encoder's (a head's, a method's) are left out
 */
export async function exportEncoder(
  folder: string,
  checkpoint: EncoderCheckpoint,
  values: ReadonlyMap<string, Float32Array>,
  { precision }: ExportOptions,
): Promise<void> {
  const tensors = new Map<string, WritableTensor>();
  const put = (name: string, shape: readonly number[], data: Float32Array): void => {
    tensors.set(name, precision === 'float16' ? { shape, data: toHalf(data), dtype: 'F16' } : { shape, data });
  };
  const shapes = new Map<string, readonly number[]>();
  for (const [name, tensor] of checkpoint.tensors) {
    const full = prefixedName(checkpoint.config, name);
    shapes.set(full, tensor.shape);
    if (values.has(trainedPrefix + full)) continue;
    const { data } = (await readTensors(tensor.file, [tensor.name])).get(tensor.name) ?? {};
    // Counters such as position_ids are made anew by whoever loads the model.
    if (data instanceof Float32Array) put(full, tensor.shape, data);
  }
  for (const [name, data] of values) {
    if (!name.startsWith(trainedPrefix)) continue;
    const full = name.slice(trainedPrefix.length);
    const shape =
      shapes.get(full) ??
      (data.length === checkpoint.config.vocabularySize ? [data.length] : squareOrVector(full, data, checkpoint));
    put(full, shape, data);
  }
  await mkdir(folder, { recursive: true });
  const config = (await readJson(join(checkpoint.folder, 'config.json'))) as Readonly<Record<string, unknown>>;
  await writeFile(join(folder, 'config.json'), `${JSON.stringify({ ...config, dtype: precision }, undefined, 2)}\n`);
  for (const name of tokenizerNames) {
    const source = join(checkpoint.folder, name);
    if (
      await stat(source).then(
        () => true,
        () => false,
      )
    )
      await copyFile(source, join(folder, name));
  }
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
}

/** The shape of a tensor of the map onto the vocabulary that the checkpoint lacked. */
function squareOrVector(name: string, { length }: Float32Array, { config }: EncoderCheckpoint): readonly number[] {
  const { embeddingSize, hiddenSize } = config;
  if (length === embeddingSize) return [length];
  if (length === embeddingSize * hiddenSize) return [embeddingSize, hiddenSize];
  throw new Error(`${name} has ${length} numbers, which fit no tensor of the encoder`);
}
