import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { insist } from './insistently.ts';

/**
 * Work kept for the next run: a file each, named by a key of all that decides what is in it. A file is believed after its SHA-256 was
 * checked; any other is as good as none. Files are put in place whole, so that several trainers may read and write at once; two that make
 * the same one write the same bytes.
 */

/** A folder of kept files, and how many bytes they may have together. */
export interface FileCache {
  readonly folder: string;
  readonly limitBytes: number;
}

/** What the files of one cache are: eight characters at their beginning, and how their names end. */
export interface FileKind {
  readonly magic: string;
  readonly ending: string;
}

export type Kept =
  | { readonly kind: 'found'; readonly file: string; readonly content: Buffer }
  | { readonly kind: 'absent' }
  | { readonly kind: 'damaged'; readonly file: string; readonly problem: string };

/** A file that a trainer left half written when it was killed. */
const ABANDONED_MS = 3_600_000;

const digestBytes = 32;

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Where a file is written before it is put in its place; what is left there is cleared away in time. */
export function pathBeside({ folder }: FileCache, name: string): string {
  return join(folder, `${name}.${process.pid}-${randomUUID().slice(0, 8)}.tmp`);
}

/** Looks for what was kept under a key. */
export async function readKept({ folder }: FileCache, { magic, ending }: FileKind, key: string): Promise<Kept> {
  const file = join(folder, `${key}${ending}`);
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch {
    return { kind: 'absent' };
  }
  const damaged = (problem: string): Kept => ({ kind: 'damaged', file, problem });
  const start = magic.length + digestBytes;
  if (bytes.length < start) return damaged('it is cut short');
  if (bytes.toString('latin1', 0, magic.length) !== magic) return damaged('it is of another kind');
  const content = bytes.subarray(start);
  if (!digestOf(content).equals(bytes.subarray(magic.length, start))) return damaged('its checksum is wrong');
  // What was used last is deleted last.
  const now = new Date();
  await utimes(file, now, now).catch(() => undefined);
  return { kind: 'found', file, content };
}

/**
 * Keeps something, and deletes what was used longest ago where all together is too much. Only their owner can read the files.
 * @returns false where it is too large to be kept
 * @throws what the system said when it could not be written; the cache is as it was
 */
export async function keep(
  cache: FileCache,
  { magic, ending }: FileKind,
  key: string,
  content: Uint8Array,
): Promise<boolean> {
  if (content.length > cache.limitBytes) return false;
  await mkdir(cache.folder, { recursive: true, mode: 0o700 });
  const name = `${key}${ending}`;
  const beside = pathBeside(cache, name);
  try {
    const handle = await open(beside, 'wx', 0o600);
    try {
      // Not synced: what a power cut leaves of it fails its checksum.
      await handle.writeFile(Buffer.concat([Buffer.from(magic, 'latin1'), digestOf(content), content]));
    } finally {
      await handle.close();
    }
    await insist(() => rename(beside, join(cache.folder, name)));
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await deleteOldest(cache, ending);
  return true;
}

/** Others may delete at the same time, or still read: a file that can't be deleted now is for the next one. */
async function deleteOldest({ folder, limitBytes }: FileCache, ending: string): Promise<void> {
  const now = Date.now();
  const kept: { readonly file: string; readonly size: number; readonly used: number }[] = [];
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    const found = await stat(file).catch(() => undefined);
    if (found?.isFile() !== true) continue;
    if (name.endsWith(ending)) kept.push({ file, size: found.size, used: found.mtimeMs });
    else if (name.endsWith('.tmp') && now - found.mtimeMs > ABANDONED_MS) await remove(file);
  }
  let total = 0;
  for (const { file, size } of kept.sort((a, b) => b.used - a.used)) {
    total += size;
    if (total > limitBytes) await remove(file);
  }
}

async function remove(file: string): Promise<void> {
  await rm(file, { force: true }).catch(() => undefined);
}
