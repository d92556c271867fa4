import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf, UserError } from '../base/errors.ts';
import { toHalf } from './half.ts';
import { insist } from './insistently.ts';
import type { WritableTensor } from './safetensors.ts';

/** Folders that models and adapters are written to: whole or not at all. */

const INFINITE_HALF = 0x7c00;

/** Where files stand until all of them are there. */
const stagePrefix = '.export-';

export interface ExportOptions {
  readonly precision: 'float16' | 'float32';
  /** Write into a folder that holds something already. */
  readonly overwrite?: boolean;
}

/** Whether there is something at a path. */
export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Makes folders down to this one. Node's own recursive mode never returns where a parent refuses with ENOENT, as below /proc.
 * @throws UserError
 */
async function makeFolder(folder: string): Promise<void> {
  if (await isThere(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) await makeFolder(parent);
  try {
    await mkdir(folder);
  } catch (error) {
    // Someone else may have been quicker.
    if (await isThere(folder)) return;
    throw new UserError(`${folder} cannot be made: ${messageOf(error)}`, undefined, { cause: error });
  }
}

/**
 * Makes sure that a model may be written to a folder, which need not be there yet.
 * @throws UserError where it is no folder, or holds files of which nobody said that they may go
 */
export async function requireFree(
  folder: string,
  { overwrite = false }: Pick<ExportOptions, 'overwrite'>,
): Promise<void> {
  if (!(await isThere(folder))) return;
  let names: readonly string[];
  try {
    names = (await readdir(folder)).filter((name) => !name.startsWith(stagePrefix));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOTDIR')
      throw new UserError(`${folder} is a file`, 'Give a folder.', { cause: error });
    throw new UserError(`${folder} is no folder to write to: ${messageOf(error)}`, undefined, { cause: error });
  }
  const [first] = names;
  if (first !== undefined && !overwrite)
    throw new UserError(`${folder} is not empty: it holds ${first}`, 'Choose another folder, or give --overwrite.');
}

/** A tensor as it is written in a precision. @throws UserError where that has not its numbers */
export function stored(
  name: string,
  { shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array },
  precision: ExportOptions['precision'],
): WritableTensor {
  if (precision === 'float32') return { shape, data };
  const halves = toHalf(data);
  if (halves.some((bits, i) => (bits & 0x7fff) === INFINITE_HALF && Number.isFinite(data[i])))
    throw new UserError(`${name} holds numbers that float16 has not: they exceed 65504`, 'Give --precision float32.');
  return { shape, data: halves, dtype: 'F16' };
}

/** What a folder is read by. */
export interface FolderFiles {
  /** The file without which nothing is loaded. */
  readonly last: string;
  /** Files that would be read beside it, whoever wrote them. */
  readonly others: readonly string[];
}

/**
 * Writes files into a folder, which is made where it is not there: all of them, or where something goes wrong none.
 * @param write writes them into another folder, from which they are moved
 */
export async function writeFolder(
  folder: string,
  files: FolderFiles,
  write: (staged: string) => Promise<void>,
): Promise<void> {
  await makeFolder(folder);
  // What was killed before it could tidy up left its files behind.
  for (const name of await readdir(folder))
    if (name.startsWith(stagePrefix)) await rm(join(folder, name), { recursive: true, force: true });
  const staged = await mkdtemp(join(folder, stagePrefix));
  try {
    await write(staged);
    await putInPlace(staged, folder, files);
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

/**
 * Moves files over what a folder holds. The one by which it is known goes first and comes last, so that a folder in which this was interrupted
 * is taken for nothing.
 */
async function putInPlace(staged: string, folder: string, { last, others }: FolderFiles): Promise<void> {
  const names = await readdir(staged);
  const stale = others.filter((name) => !names.includes(name));
  for (const name of [last, ...stale]) await insist(() => rm(join(folder, name), { force: true }));
  for (const name of [...names.filter((each) => each !== last), last])
    await insist(() => rename(join(staged, name), join(folder, name)));
}
