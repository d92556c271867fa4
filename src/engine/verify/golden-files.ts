import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { FileError, UserError } from '../../base/errors.ts';
import { openEncoder, type EncoderCheckpoint } from '../encoder-checkpoint.ts';
import { familyOf } from '../encoders/config.ts';
import { sameShape } from '../graph/dims.ts';
import { readTensors, type Tensor } from '../safetensors.ts';
import { fileProblem, readJson, systemErrorCode } from '../text-files.ts';

/** Where a case lies. */
export interface CaseFolder {
  /** Its folder below the golden folder, with `/`. */
  readonly name: string;
  readonly path: string;
  /** The golden folder, which holds the base models and the clipping files too. */
  readonly root: string;
}

const caseFiles = ['meta.json', 'inputs.json', 'params.safetensors', 'expected.safetensors', 'inputs.safetensors'];

async function listFolder(path: string): Promise<{ readonly files: Set<string>; readonly folders: readonly string[] }> {
  try {
    const folders: string[] = [];
    const files = new Set<string>();
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const folder = entry.isSymbolicLink() ? await isFolder(join(path, entry.name)) : entry.isDirectory();
      if (folder) folders.push(entry.name);
      else files.add(entry.name);
    }
    return { files, folders: folders.sort() };
  } catch (thrown) {
    throw fileProblem(path, thrown);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (thrown) {
    if (systemErrorCode(thrown) === 'ENOENT') return false;
    throw thrown;
  }
}

function isCase(files: ReadonlySet<string>): boolean {
  return caseFiles.some((file) => files.has(file));
}

/**
 * The cases of a golden folder, in the order of their names: every folder that holds a file of a case, one or two levels down, but for
 * those whose names begin with `_` or `.`. A folder that is itself a case is the only one.
 * @throws FileError when the folder can't be read; UserError when it holds no case
 */
export async function findCases(folder: string): Promise<readonly CaseFolder[]> {
  const root = resolve(folder);
  const top = await listFolder(root);
  if (isCase(top.files)) {
    return [{ name: basename(root), path: root, root: dirname(root) }];
  }
  const cases: CaseFolder[] = [];
  const look = async (name: string, depth: number): Promise<void> => {
    const path = join(root, ...name.split('/'));
    const { files, folders } = await listFolder(path);
    if (isCase(files)) cases.push({ name, path, root });
    else if (depth < 2) for (const below of visible(folders)) await look(`${name}/${below}`, depth + 1);
  };
  for (const name of visible(top.folders)) await look(name, 1);
  if (cases.length === 0) {
    throw new UserError(
      `${folder} holds no golden case`,
      'A case is a folder with meta.json, inputs.json and expected.safetensors.',
    );
  }
  return cases;
}

function visible(folders: readonly string[]): readonly string[] {
  return folders.filter((name) => !/^[_.]/.test(name));
}

const size = z.int().nonnegative();
const shapes = z.record(z.string(), z.array(size));

const metaSchema = z.object({
  base_model: z.string().regex(/^[\w.-]+$/),
  method: z.string(),
  task: z.string().optional(),
  hyperparameters: z.record(z.string(), z.unknown()).default({}),
  trainable: shapes,
  frozen: shapes.default({}),
  trainable_parameters: z.object({ method: size, head: size, total: size }).optional(),
  per_example: z.boolean().default(false),
  adamw: z
    .object({
      weight_decays: z.array(z.number().nonnegative()),
      lr: z.number().positive(),
      betas: z.tuple([z.number(), z.number()]),
      eps: z.number().positive(),
      steps: z.int().positive(),
    })
    .optional(),
  zero_gradient: z.array(z.string()).default([]),
  adamw_unstable_in_float32: z.array(z.string()).default([]),
});

/** What `meta.json` says. */
export type CaseMeta = z.infer<typeof metaSchema>;

const layerMetaSchema = z.object({
  base_model: z.undefined().optional(),
  method: z.undefined().optional(),
  description: z.string().default(''),
  parameters: shapes,
  parameter_count: size.optional(),
});

/** What `meta.json` says of a layer on its own. */
export type LayerMeta = z.infer<typeof layerMetaSchema>;

const inputsSchema = z.object({
  special_token_ids: z.record(z.string(), z.int()).default({}),
  tensors: z.record(z.string(), z.object({ dtype: z.string(), shape: z.array(size), data: z.array(z.number()) })),
});

const realNumbers = /^(?:b?float\d*|double|half)$/;

/** A tensor of `inputs.json`. */
export interface InputTensor {
  readonly integers: boolean;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export interface CaseInputs {
  readonly file: string;
  readonly specialTokens: Readonly<Record<string, number>>;
  readonly tensors: Readonly<Record<string, InputTensor>>;
}

function parse<T>(schema: z.ZodType<T>, raw: unknown, file: string): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new FileError(file, undefined, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not valid'}`);
}

export type MetaFile =
  | { readonly kind: 'case'; readonly meta: CaseMeta }
  /** A layer on its own, without a base model. */
  | { readonly kind: 'layer'; readonly meta: LayerMeta };

/** Reads `meta.json`. @throws FileError when it is missing or malformed */
export async function readMeta({ path }: CaseFolder): Promise<MetaFile> {
  const file = join(path, 'meta.json');
  const raw = await readJson(file);
  const layer = layerMetaSchema.safeParse(raw);
  return layer.success ? { kind: 'layer', meta: layer.data } : { kind: 'case', meta: parse(metaSchema, raw, file) };
}

/** Reads `inputs.json`. @throws FileError when it is missing or malformed */
export async function readInputs({ path }: CaseFolder): Promise<CaseInputs> {
  const file = join(path, 'inputs.json');
  const { special_token_ids: specialTokens, tensors } = parse(inputsSchema, await readJson(file), file);
  return {
    file,
    specialTokens,
    tensors: Object.fromEntries(
      Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
        if (data.length !== sizeOf(shape)) {
          throw new FileError(
            file,
            undefined,
            `${name} has ${data.length} numbers for the shape [${shape.join(', ')}]`,
          );
        }
        const integers = /^u?int/.test(dtype);
        if (!integers && !realNumbers.test(dtype)) throw new FileError(file, undefined, `${name} is ${dtype}`);
        if (integers && !data.every((number) => Number.isSafeInteger(number))) {
          throw new FileError(file, undefined, `${name} is ${dtype} but holds a number that is not whole`);
        }
        return [name, { integers, shape, data }];
      }),
    ),
  };
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

export type BaseModel =
  | { readonly kind: 'encoder'; readonly checkpoint: EncoderCheckpoint }
  | { readonly kind: 'unsupported'; readonly reason: string };

/** Opens a case's base model. @throws FileError when a file of it is missing or malformed */
export async function openBase({ root }: CaseFolder, name: string): Promise<BaseModel> {
  const folder = join(root, '_models', name);
  const configFile = join(folder, 'config.json');
  const { model_type: type } = parse(z.object({ model_type: z.string() }), await readJson(configFile), configFile);
  if (familyOf(type) === undefined) {
    return { kind: 'unsupported', reason: `base: the model type "${type}" is not supported yet` };
  }
  return { kind: 'encoder', checkpoint: await openEncoder(folder) };
}

/** A safetensors file of numbers, by name. */
export interface Numbers {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
}

function asFloats(file: string, name: string, { dtype, data }: Tensor): Float32Array {
  if (dtype === 'F32') return data;
  if (dtype === 'F64') return Float32Array.from(data);
  throw new FileError(file, undefined, `tensor "${name}" is ${dtype}; numbers are expected`);
}

/** Reads a safetensors file whole. @throws FileError when it is missing, corrupt, or holds other things than numbers */
export async function readNumbers(file: string): Promise<Numbers> {
  const tensors = new Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>();
  for (const [name, tensor] of await readTensors(file)) {
    tensors.set(name, { shape: tensor.shape, data: asFloats(file, name, tensor) });
  }
  return { file, tensors };
}

/** The numbers of one tensor. @throws FileError when it is not there or has another shape, see {@link sameView} */
export function numbersOf({ file, tensors }: Numbers, name: string, shape?: readonly number[]): Float32Array {
  const found = tensors.get(name);
  if (found === undefined) throw new FileError(file, undefined, `has no tensor "${name}"`);
  if (shape !== undefined && !sameView(found.shape, shape)) {
    throw new FileError(
      file,
      undefined,
      `tensor "${name}" has the shape [${found.shape.join(', ')}] where [${shape.join(', ')}] is expected`,
    );
  }
  return found.data;
}

/**
 * Whether two shapes hold the same numbers in the same order up to axes of size 1 and axes that one of them keeps merged: `[2, 3, 4]`
 * and `[2, 12]`, `[5]` and `[5, 1]`, but not `[2, 3]` and `[3, 2]`.
 */
export function sameView(a: readonly number[], b: readonly number[]): boolean {
  if (sameShape(a, b)) return true;
  const [left, right] = [a, b].map((shape) => shape.filter((dim) => dim !== 1));
  const [ours, theirs] = [[...(left ?? [])], [...(right ?? [])]];
  while (ours.length > 0 && theirs.length > 0) {
    const [coarse, fine] = (ours[0] ?? 0) >= (theirs[0] ?? 0) ? [ours, theirs] : [theirs, ours];
    const whole = coarse.shift();
    let product = 1;
    while (fine.length > 0 && product < (whole ?? 0)) product *= fine.shift() ?? 1;
    if (product !== whole) return false;
  }
  return ours.length === theirs.length;
}

/** Start values: the case's own, or none where every tensor starts from the base model. */
export async function readParameters({ path }: CaseFolder, needed: boolean): Promise<Numbers> {
  const file = join(path, 'params.safetensors');
  if (!needed && !(await exists(file))) return { file, tensors: new Map() };
  return readNumbers(file);
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (thrown) {
    if (systemErrorCode(thrown) === 'ENOENT') return false;
    throw fileProblem(file, thrown);
  }
}

const clippingSchema = z.object({
  clip: z.record(z.string(), z.object({ C: z.number().positive(), expected_batch_size: z.number().positive() })),
});

/** What clipping makes of a case's per-example gradients. */
export interface Clipping {
  readonly runs: readonly { readonly name: string; readonly maxNorm: number; readonly expectedBatchSize: number }[];
  readonly expected: Numbers;
}

/** Reads a case's clipping files, if it has them. @throws FileError when one is missing or malformed */
export async function readClipping({ root, name }: CaseFolder): Promise<Clipping | undefined> {
  const settings = join(root, '_dp', `${name}.json`);
  const numbers = join(root, '_dp', `${name}.safetensors`);
  if (!(await exists(settings)) && !(await exists(numbers))) return undefined;
  const { clip } = parse(clippingSchema, await readJson(settings), settings);
  return {
    runs: Object.entries(clip).map(([run, { C, expected_batch_size }]) => ({
      name: run,
      maxNorm: C,
      expectedBatchSize: expected_batch_size,
    })),
    expected: await readNumbers(numbers),
  };
}
