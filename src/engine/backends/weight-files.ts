import { open, realpath, stat } from 'node:fs/promises';
import { FileError } from '../../base/errors.ts';
import { widen } from '../half.ts';
import type { WeightLocation } from './backend.ts';

type FileWeight = WeightLocation & { readonly kind: 'file' };

/** The real path of each file, once it is known to hold all that is wanted of it. @throws FileError if it does not, or cannot be read */
export async function realFiles(weights: readonly FileWeight[]): Promise<ReadonlyMap<string, string>> {
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

/** The bytes of a weight. @throws FileError if its file ends before them */
export async function readRange({ file, offset, byteLength }: FileWeight): Promise<Uint8Array> {
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

/** The numbers of a weight; 16-bit ones are widened. @throws FileError if its file ends before them */
export async function readWeight(location: WeightLocation): Promise<Float32Array | Int32Array> {
  if (location.kind === 'data') return location.data;
  const { buffer } = await readRange(location);
  return location.dtype === 'F32' ? new Float32Array(buffer) : widen(location.dtype, new Uint16Array(buffer));
}
