import { copyFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import type { EncoderCheckpoint } from './encoder-checkpoint.ts';
import { prefixedName, tensorPrefix, tiedCopies } from './encoders/tensor-names.ts';
import { isThere, requireFree, stored, writeFolder, type ExportOptions } from './export-folder.ts';
import { readTensors, writeSafetensors, type WritableTensor } from './safetensors.ts';
import { readJson } from './text-files.ts';
import { encoderClass, type TransformersHead } from './transformers-head.ts';

const weightsName = 'model.safetensors';
const configName = 'config.json';

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

/** Heads of another task that came with the encoder: beside one that was trained further they would load as if they belonged to it. */
const oldHead = /^((pre_)?classifier|qa_outputs)\./u;

/** What config.json says of such a head. */
const headKeys = ['id2label', 'label2id', 'num_labels', '_num_labels', 'problem_type'];

/** What trained tensors of the encoder are called in a run. */
const trainedPrefix = 'base.';

export interface EncoderExportOptions extends ExportOptions {
  /** What stands on the encoder, where `transformers` knows it. */
  readonly head?: TransformersHead | undefined;
}

/** Whether two paths lead to one file or folder, by whatever links. */
async function isSame(path: string, other: string): Promise<boolean> {
  try {
    const [a, b] = [await stat(path, { bigint: true }), await stat(other, { bigint: true })];
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    return false;
  }
}

/**
 * As {@link requireFree}, for a model that is made from a checkpoint.
 * @throws UserError also where the checkpoint itself would be replaced
 */
export async function requireTarget(
  folder: string,
  { folder: source, tensors }: Pick<EncoderCheckpoint, 'folder' | 'tensors'>,
  options: Pick<ExportOptions, 'overwrite'>,
): Promise<void> {
  const weights = [...new Set([...tensors.values()].map(({ file }) => file))];
  const pairs = [
    [folder, source] as const,
    ...weights.map((file) => [join(folder, weightsName), file] as const),
    ...[configName, ...tokenizerNames].map((name) => [join(folder, name), join(source, name)] as const),
  ];
  for (const [target, own] of pairs)
    if (await isSame(target, own))
      throw new UserError(
        `${target} belongs to the model that the run began from`,
        'The run needs it as it is. Choose another folder.',
      );
  await requireFree(folder, options);
}

/**
 * Writes a trained encoder in Hugging Face layout into a folder that {@link requireTarget} allows: the checkpoint that it began from with the
 * trained tensors in the place of its own, the map onto the vocabulary included where it was trained, its configuration and its tokenizer, and
 * a trained head. A head of another task is left out. The folder gets all of it or, where something goes wrong, keeps what it held.
 * @throws UserError as {@link requireTarget} does
 * @param values the run's trained tensors, row-major; those that are not the encoder's (a head's, a method's) are left out
 */
export async function exportEncoder(
  folder: string,
  checkpoint: EncoderCheckpoint,
  values: ReadonlyMap<string, Float32Array>,
  { precision, overwrite = false, head }: EncoderExportOptions,
): Promise<void> {
  await requireTarget(folder, checkpoint, { overwrite });
  const tensors = new Map<string, WritableTensor>();
  const put = (name: string, shape: readonly number[], data: Float32Array): void => {
    tensors.set(name, stored(name, { shape, data }, precision));
  };
  const shapes = new Map<string, readonly number[]>();
  const prefix = tensorPrefix(checkpoint.config);
  const copies = checkpoint.tiesWords ? tiedCopies[checkpoint.config.family] : [];
  for (const [name, tensor] of checkpoint.tensors) {
    if (copies.includes(name) || oldHead.test(name)) continue;
    const full = tensor.name.startsWith(prefix) ? `${prefix}${name}` : prefixedName(checkpoint.config, name);
    shapes.set(full, tensor.shape);
    if (values.has(trainedPrefix + full)) continue;
    const { data } = (await readTensors(tensor.file, [tensor.name])).get(tensor.name) ?? {};
    // Counters such as position_ids are made anew by whoever loads the model.
    if (data instanceof Float32Array) put(full, tensor.shape, data);
  }
  for (const [name, { shape, data }] of head?.tensors ?? []) put(name, shape, data);
  for (const [name, data] of values) {
    if (!name.startsWith(trainedPrefix)) continue;
    const full = name.slice(trainedPrefix.length);
    const shape =
      shapes.get(full) ??
      (data.length === checkpoint.config.vocabularySize ? [data.length] : squareOrVector(full, data, checkpoint));
    put(full, shape, data);
  }
  const config = { ...(await configOf(checkpoint)), ...head?.config, dtype: precision };
  await writeFolder(folder, { last: configName, others: tokenizerNames }, async (staged) => {
    await writeSafetensors(join(staged, weightsName), tensors, { format: 'pt' });
    await writeFile(join(staged, configName), `${JSON.stringify(config, undefined, 2)}\n`);
    for (const name of tokenizerNames) {
      const source = join(checkpoint.folder, name);
      if (await isThere(source)) await copyFile(source, join(staged, name));
    }
  });
}

/** What the checkpoint's config.json says of the encoder, without what it says of a head for another task. */
async function configOf({ folder, config: { family }, tensors }: EncoderCheckpoint): Promise<Record<string, unknown>> {
  const written = (await readJson(join(folder, configName))) as Readonly<Record<string, unknown>>;
  const kept = Object.fromEntries(Object.entries(written).filter(([key]) => !headKeys.includes(key)));
  const losesHead = [...tensors.keys()].some((name) => oldHead.test(name));
  return losesHead ? { ...kept, architectures: [encoderClass(family)] } : kept;
}

/** The shape of a tensor of the map onto the vocabulary that the checkpoint lacked. */
function squareOrVector(name: string, { length }: Float32Array, { config }: EncoderCheckpoint): readonly number[] {
  const { embeddingSize, hiddenSize } = config;
  if (length === embeddingSize) return [length];
  if (length === embeddingSize * hiddenSize) return [embeddingSize, hiddenSize];
  throw new Error(`${name} has ${length} numbers, which fit no tensor of the encoder`);
}
