import path from 'node:path';
import type { EightBitPlan, WeightLocation, WeightSource } from '../backend.ts';
import type { Reading } from '../../graph/frozen-products.ts';
import { pathBelow } from '../../path-below.ts';
import { locateWeights } from '../weight-checks.ts';
import { readRange, readWeight, realFiles } from '../weight-files.ts';
import { toEightBits, type EightBitMatrices, type RoundedMatrix } from './eight-bit.ts';
import type { PlacedWeight } from './lower.ts';

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
  for (let folder = path.dirname(first); ; folder = path.dirname(folder)) {
    if (rest.every((file) => pathBelow(folder, file) !== undefined)) return folder;
    if (folder === path.dirname(folder)) return undefined;
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
  const locations = locateWeights(names, source);
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

/**
 * Reads frozen matrices and rounds them to 8-bit integers, once for each way in which a graph reads them.
 * @param plan what is known of the rows that each is multiplied with
 * @param limit the greatest magnitude of an integer
 * @throws Error if a weight is not in `source`; FileError if its file cannot be read or is too short
 */
export async function roundWeights(
  readings: ReadonlyMap<string, ReadonlySet<Reading>>,
  source: WeightSource,
  plan: EightBitPlan,
  limit: number,
): Promise<EightBitMatrices> {
  const matrices = new Map<string, RoundedMatrix>();
  for (const [name, location] of locateWeights([...readings.keys()], source)) {
    const numbers = await readWeight(location);
    const [out, inner] = location.shape;
    if (!(numbers instanceof Float32Array) || out === undefined || inner === undefined)
      throw new Error(`${name} is no matrix of numbers`);
    const rounded = [...(readings.get(name) ?? [])].map(
      (reading) => [reading, toEightBits(numbers, [out, inner], reading, limit, plan.get(name)?.sizes)] as const,
    );
    matrices.set(name, Object.fromEntries(rounded));
  }
  return matrices;
}
