import { join } from 'node:path';
import { FileError, UserError } from '../base/errors.ts';
import type { WeightLocation, WeightSource } from './backends/backend.ts';
import { parseEncoderConfig, type EncoderConfig } from './encoders/config.ts';
import { tensorName, tensorPrefix, tensorShape, wordHeadTensors } from './encoders/tensor-names.ts';
import { draw, drawFixed, drawRows, isDrawn, isDrawnFixed } from './initialise.ts';
import type { ModelGraph } from './model-graph.ts';
import { openCheckpoint, readTensors, type CheckpointTensor } from './safetensors.ts';
import { readJson } from './text-files.ts';

/** A pretrained encoder on disk: its sizes, and where each of its tensors lies, by name without the family's prefix. */
export interface EncoderCheckpoint {
  readonly folder: string;
  readonly config: EncoderConfig;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  readonly hasPooler: boolean;
  /** It can predict masked words: what does so stands beside the encoder. */
  readonly hasWordHead: boolean;
  /** What predicts masked words maps onto the vocabulary by the word embeddings, as in all models that are known to do so. */
  readonly tiesWords: boolean;
}

/**
 * Opens an encoder's folder in Hugging Face layout; reads headers, not weights.
 * @throws FileError when a file is missing, malformed, or of a family that is not supported
 */
export async function openEncoder(folder: string): Promise<EncoderCheckpoint> {
  const configFile = join(folder, 'config.json');
  const written = await readJson(configFile);
  const config = parseEncoderConfig(written, configFile);
  const prefix = tensorPrefix(config);
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of await openCheckpoint(folder)) {
    tensors.set(modernName(name.startsWith(prefix) ? name.slice(prefix.length) : name), tensor);
  }
  return {
    folder,
    config,
    tensors,
    hasPooler: tensors.has('pooler.dense.weight'),
    hasWordHead: wordHeadTensors().every((tensor) => tensors.has(tensorName(config, tensor))),
    tiesWords: (written as Readonly<Record<string, unknown>>)['tie_word_embeddings'] !== false,
  };
}

/** Checkpoints converted from TensorFlow call a norm's scale and shift `gamma` and `beta`. */
function modernName(name: string): string {
  return name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias');
}

function locate(checkpoint: EncoderCheckpoint, name: string, shape: readonly number[]): WeightLocation {
  const found = checkpoint.tensors.get(name);
  if (found === undefined) {
    throw new FileError(
      join(checkpoint.folder, 'model.safetensors'),
      undefined,
      `has no tensor ${name}`,
      'The checkpoint and its config.json do not belong together, or it is of another family.',
    );
  }
  const { file, dtype, offset, byteLength } = found;
  if (found.shape.length !== shape.length || found.shape.some((dim, axis) => dim !== shape[axis])) {
    throw new FileError(
      file,
      undefined,
      `${name} has shape [${found.shape.join(', ')}] where config.json implies [${shape.join(', ')}]`,
    );
  }
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new FileError(file, undefined, `${name} is ${dtype}; weights must be F32, F16 or BF16`);
  }
  return { kind: 'file', file, dtype, shape, offset, byteLength };
}

/** Where the graph's frozen tensors are: the checkpoint's in its file, a method's own drawn from the seed. */
export function frozenWeights(model: ModelGraph, checkpoint: EncoderCheckpoint, seed: number): WeightSource {
  const source = new Map<string, WeightLocation>();
  for (const { name, shape } of model.frozen) source.set(name, locate(checkpoint, name, shape));
  for (const { name, shape, initialiser } of model.fixed) {
    if (initialiser.kind === 'checkpoint') source.set(name, locate(checkpoint, initialiser.tensor, shape));
    else if (isDrawnFixed(initialiser))
      source.set(name, { kind: 'data', shape, data: drawFixed(initialiser, name, shape, seed) });
    else throw new Error(`${name} is frozen, so it can't start from rows of the word embeddings`);
  }
  return source;
}

/** Tensors of an encoder as float32, by their names without prefix. @throws Error where it has no such tensor */
export async function readEncoderTensors(
  checkpoint: EncoderCheckpoint,
  names: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Float32Array>> {
  const wanted = new Map<string, Map<string, string>>();
  for (const name of names) {
    const tensor = checkpoint.tensors.get(name);
    if (tensor === undefined) throw new Error(`the checkpoint has no ${name}`);
    wanted.set(tensor.file, (wanted.get(tensor.file) ?? new Map<string, string>()).set(tensor.name, name));
  }
  const values = new Map<string, Float32Array>();
  for (const [file, inFiles] of wanted) {
    for (const [inFile, { data }] of await readTensors(file, inFiles.keys())) {
      const name = inFiles.get(inFile);
      if (name === undefined || !(data instanceof Float32Array)) throw new Error(`${inFile} was not read as float32`);
      values.set(name, data);
    }
  }
  return values;
}

/**
 * Rows of the word embeddings, row-major; where another width than theirs is asked for, as they come out of the map that brings embeddings to
 * the layers' width (ELECTRA).
 * @throws Error where a row lies outside the table
 */
async function wordRows(
  checkpoint: EncoderCheckpoint,
  rows: ArrayLike<number>,
  wanted: number | undefined,
): Promise<Float32Array> {
  const { config } = checkpoint;
  const table = { module: 'wordEmbeddings', layer: undefined, part: 'weight' } as const;
  const [inEncoder, width] = [tensorName(config, table), config.embeddingSize];
  locate(checkpoint, inEncoder, tensorShape(config, table));
  const { file, name: inFile } = checkpoint.tensors.get(inEncoder) ?? { file: '', name: '' };
  const { data } = (await readTensors(file, [inFile])).get(inFile) ?? {};
  if (!(data instanceof Float32Array)) throw new Error(`${inFile} was not read as float32`);
  const values = new Float32Array(rows.length * width);
  for (const [at, row] of Array.from(rows).entries()) {
    if (row >= config.vocabularySize) throw new Error(`${inFile} has no row ${row}`);
    values.set(data.subarray(row * width, (row + 1) * width), at * width);
  }
  return wanted === width ? values : projectEmbeddings(checkpoint, values);
}

/** Embeddings `[count, embedding size]` as the layers see them: x Wᵀ + b, `[count, hidden size]`. */
async function projectEmbeddings(checkpoint: EncoderCheckpoint, embeddings: Float32Array): Promise<Float32Array> {
  const { config } = checkpoint;
  const { embeddingSize: inner, hiddenSize: outer } = config;
  const names = (['weight', 'bias'] as const).map((part) => {
    const tensor = { module: 'embeddingProjection', layer: undefined, part } as const;
    const name = tensorName(config, tensor);
    locate(checkpoint, name, tensorShape(config, tensor));
    return name;
  });
  const read = await readEncoderTensors(checkpoint, new Set(names));
  const [weight, bias] = names.map((name) => read.get(name) ?? new Float32Array());
  const count = embeddings.length / inner;
  return Float32Array.from({ length: count * outer }, (_, at) => {
    const [row, column] = [Math.floor(at / outer), at % outer];
    let sum = bias?.[column] ?? NaN;
    for (let i = 0; i < inner; i++) sum += (embeddings[row * inner + i] ?? NaN) * (weight?.[column * inner + i] ?? NaN);
    return sum;
  });
}

/**
 * The start values of the trained tensors, by name.
 * @param maskToken where the head reads it
 * @throws UserError when a tensor starts from the mask token, which is not given; FileError when the checkpoint lacks one or has it in another shape
 */
export async function startValues(
  model: ModelGraph,
  checkpoint: EncoderCheckpoint,
  seed: number,
  maskToken?: number,
): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  const wanted = new Map<string, string>();
  for (const { name, shape, initialiser } of model.trained) {
    if (isDrawn(initialiser)) {
      values.set(name, draw(initialiser, name, shape, seed));
      continue;
    }
    if (initialiser.kind === 'wordEmbeddings') {
      const [count = 0] = shape;
      if (initialiser.of === 'mask' && maskToken === undefined) {
        throw new UserError(
          'rows are to start from the mask token, but no head reads one here',
          'Set method.head to "mask", or choose another method.init.',
        );
      }
      const rows =
        initialiser.of === 'mask'
          ? new Uint32Array(count).fill(maskToken ?? 0)
          : drawRows(count, checkpoint.config.vocabularySize, name, seed);
      values.set(name, await wordRows(checkpoint, rows, shape[1]));
      continue;
    }
    locate(checkpoint, initialiser.tensor, shape);
    wanted.set(name, initialiser.tensor);
  }
  const read = await readEncoderTensors(checkpoint, new Set(wanted.values()));
  for (const [name, tensor] of wanted) {
    const data = read.get(tensor);
    if (data !== undefined) values.set(name, data);
  }
  return values;
}
