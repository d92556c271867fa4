import { open, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { FileError } from '../../../base/errors.ts';
import type { WeightLocation, WeightSource } from '../backend.ts';
import type { PlacedWeight } from './lower.ts';

type FileWeight = WeightLocation & { readonly kind: 'file' };

/** Frozen weights as a model can refer to them. */
export interface PlacedWeights {
  readonly weights: ReadonlyMap<string, PlacedWeight>;
  /** The folder that the locations are relative to, if weights are read from files. */
  readonly folder: string | undefined;
  /** The bytes behind the locations, if weights are handed over in memory. */
  readonly bytes: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/** Finds the folder that holds all of some files (real paths), at whatever depth; undefined where there is none. */
export type FindFolder = (files: readonly string[]) => string | undefined;

/** The deepest folder above all of `files`; none if they lie on different drives. */
export function commonFolder(files: readonly string[]): string | undefined {
  const [first, ...rest] = files;
  if (first === undefined) return undefined;
  const holds = (folder: string, file: string): boolean => {
    const below = path.relative(folder, file);
    return below !== '..' && !below.startsWith(`..${path.sep}`) && !path.isAbsolute(below);
  };
  for (let folder = path.dirname(first); ; folder = path.dirname(folder)) {
    if (rest.every((file) => holds(folder, file))) return folder;
    if (folder === path.dirname(folder)) return undefined;
  }
}

/** The real path of each file, once it is known to hold all that is wanted of it. */
async function realFiles(weights: readonly FileWeight[]): Promise<ReadonlyMap<string, string>> {
  const ends = new Map<string, number>();
  for (const { file, offset, byteLength } of weights) {
    ends.set(file, Math.max(ends.get(file) ?? 0, offset + byteLength));
  }
  const files = new Map<string, string>();
  for (const [file, end] of ends) {
    let size: number;
    try {
      files.set(file, await realpath(file));
      size = (await stat(file)).size;
    } catch (cause) {
      throw new FileError(file, undefined, 'the weights cannot be read', 'Is the file still there?', { cause });
    }
    if (size < end) throw truncated(file, end);
  }
  return files;
}

function truncated(file: string, end: number): FileError {
  return new FileError(file, undefined, `ends before byte ${end}`, 'Download the model again.');
}

async function readRange({ file, offset, byteLength }: FileWeight): Promise<Uint8Array> {
  const handle = await open(file);
  try {
    const data = new Uint8Array(byteLength);
    let filled = 0;
    while (filled < byteLength) {
      const { bytesRead } = await handle.read(data, filled, byteLength - filled, offset + filled);
      if (bytesRead === 0) throw truncated(file, offset + byteLength);
      filled += bytesRead;
    }
    return data;
  } finally {
    await handle.close();
  }
}

function inlineWeight({ shape, data }: WeightLocation & { readonly kind: 'data' }): PlacedWeight {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { dtype: data instanceof Int32Array ? 'I32' : 'F32', shape, data: { kind: 'inline', bytes } };
}

/**
 * Decides how the model reaches the frozen weights called `names`. The runtime reads files itself where it can: it refuses any that
 * lie outside the model's folder once links are resolved, so the folder named to it is one above all real files. Where no such
 * folder exists (two drives), the bytes are read here and handed over. Weights made in memory go into the model.
 * @throws Error if a weight is not in `source`; FileError if its file cannot be read or is too short
 */
export async function placeWeights(
  names: readonly string[],
  source: WeightSource,
  findFolder: FindFolder = commonFolder,
): Promise<PlacedWeights> {
  const locations = new Map<string, WeightLocation>();
  for (const name of names) {
    const location = source.get(name);
    if (location === undefined) throw new Error(`the graph needs a weight ${name}, which was not given`);
    locations.set(name, location);
  }
  const files = await realFiles([...locations.values()].filter((location) => location.kind === 'file'));
  const folder = findFolder([...files.values()]);
  const weights = new Map<string, PlacedWeight>();
  const bytes: { path: string; data: Uint8Array }[] = [];
  for (const [name, location] of locations) {
    if (location.kind === 'data') {
      weights.set(name, inlineWeight(location));
      continue;
    }
    const { dtype, shape, byteLength } = location;
    if (folder === undefined) {
      bytes.push({ path: name, data: await readRange(location) });
      weights.set(name, { dtype, shape, data: { kind: 'external', location: name, offset: 0, byteLength } });
      continue;
    }
    const file = path.relative(folder, files.get(location.file) ?? location.file).replaceAll(path.sep, '/');
    weights.set(name, {
      dtype,
      shape,
      data: { kind: 'external', location: file, offset: location.offset, byteLength },
    });
  }
  return { weights, folder, bytes };
}
