import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { insist } from '../insistently.ts';
import type { Dataset } from './dataset.ts';

/**
 * Tokenised splits kept for the next run: a file each, named by a key of all that decides what is in it. A file is believed after its length, its
 * SHA-256 and its indices were checked; any other is as good as none. Files are put in place whole, so that several trainers may read and write
 * at once; two that make the same one write the same bytes.
 */

/** A tokenised split, and what a run needs of the tokenizer beside it. */
export interface CachedSplit {
  readonly dataset: Dataset;
  /** The id of the mask token, if there is one. */
  readonly mask: number | undefined;
}

export type CacheAnswer =
  | { readonly kind: 'found'; readonly split: CachedSplit }
  | { readonly kind: 'absent' }
  | { readonly kind: 'damaged'; readonly file: string; readonly problem: string };

/** A folder of cached splits, and how many bytes they may have together. */
export interface DataCache {
  readonly folder: string;
  readonly limitBytes: number;
}

/** Enough for the largest of GLUE several times over. */
export const DATA_CACHE_BYTES = 512 << 20;

/** A file that a trainer left half written when it was killed. */
const ABANDONED_MS = 3_600_000;

const magic = Buffer.from('PEFTTOK1');
const digestBytes = 32;
const lengthBytes = 4;
const startBytes = magic.length + digestBytes + lengthBytes;
const longestHeader = 4096;

const headerSchema = z.object({
  key: z.string(),
  kind: z.enum(['classification', 'regression', 'words', 'masked-words']),
  count: z.int().nonnegative(),
  tokens: z.int().nonnegative(),
  tokenLabels: z.boolean(),
  mask: z.int().nonnegative().optional(),
});

type Header = z.output<typeof headerSchema>;

const ending = '.tokens';

function fileOf({ folder }: DataCache, key: string): string {
  return join(folder, `${key}${ending}`);
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** The sizes in bytes of a split's arrays in the order in which they stand in the file, the widest elements first. */
function sizesOf({ count, tokens, tokenLabels }: Pick<Header, 'count' | 'tokens' | 'tokenLabels'>) {
  return {
    labels: 8 * count,
    offsets: 4 * (count + 1),
    ids: 4 * tokens,
    tokenLabels: tokenLabels ? 4 * tokens : 0,
    typeIds: tokens,
    special: tokens,
  };
}

function bytesOf(array: Float64Array | Uint32Array | Int32Array | Uint8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** What is wrong with indices that a batch would be made from, if anything. */
function indexProblem({ count, offsets, ids }: Dataset, vocabularySize: number): string | undefined {
  if (offsets[0] !== 0 || offsets[count] !== ids.length) return 'its examples do not fill it';
  for (let i = 0; i < count; i++)
    if ((offsets[i + 1] as number) <= (offsets[i] as number)) return `example ${i} has no tokens`;
  for (const id of ids) if (id < 0 || id >= vocabularySize) return `it holds token ${id} of ${vocabularySize}`;
  return undefined;
}

function parse(bytes: Buffer, key: string, vocabularySize: number): CachedSplit | string {
  if (bytes.length < startBytes) return 'it is cut short';
  if (!bytes.subarray(0, magic.length).equals(magic)) return 'it is of another kind';
  const digest = bytes.subarray(magic.length, magic.length + digestBytes);
  if (!digestOf(bytes.subarray(magic.length + digestBytes)).equals(digest)) return 'its checksum is wrong';
  const headerLength = bytes.readUInt32LE(magic.length + digestBytes);
  if (headerLength > longestHeader || startBytes + headerLength > bytes.length) return 'its header is too long';
  const parsed = headerSchema.safeParse(jsonOf(bytes.toString('utf8', startBytes, startBytes + headerLength)));
  if (!parsed.success) return 'its header is malformed';
  const { kind, count, tokens, tokenLabels, mask } = parsed.data;
  if (parsed.data.key !== key) return 'it belongs to other data';
  const sizes = sizesOf(parsed.data);
  let at = startBytes + headerLength;
  if (bytes.length !== at + Object.values(sizes).reduce((sum, size) => sum + size, 0)) return 'its length is wrong';
  // Copies, because an element must lie at a multiple of its size.
  const take = (size: number): ArrayBuffer => {
    const copy = new Uint8Array(size);
    copy.set(bytes.subarray(at, at + size));
    at += size;
    return copy.buffer;
  };
  const labels = new Float64Array(take(sizes.labels), 0, count);
  const offsets = new Uint32Array(take(sizes.offsets), 0, count + 1);
  const ids = new Int32Array(take(sizes.ids), 0, tokens);
  const words = new Int32Array(take(sizes.tokenLabels));
  const typeIds = new Uint8Array(take(sizes.typeIds));
  const special = new Uint8Array(take(sizes.special));
  const dataset: Dataset = {
    ...{ count, kind, ids, typeIds, special, offsets, labels },
    ...(tokenLabels ? { tokenLabels: words } : {}),
  };
  return indexProblem(dataset, vocabularySize) ?? { dataset, mask };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Looks for a split.
 * @param key of all that decides what the split is
 * @param vocabularySize no token of the split may be beyond it
 */
export async function readCachedSplit(cache: DataCache, key: string, vocabularySize: number): Promise<CacheAnswer> {
  const file = fileOf(cache, key);
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch {
    return { kind: 'absent' };
  }
  const split = parse(bytes, key, vocabularySize);
  if (typeof split === 'string') return { kind: 'damaged', file, problem: split };
  // What was used last is deleted last.
  const now = new Date();
  await utimes(file, now, now).catch(() => undefined);
  return { kind: 'found', split };
}

/**
 * Keeps a split, and deletes those that were used longest ago where all together are too many. Only their owner can read the files.
 * @returns false where it is too large to be kept
 * @throws what the system said when it could not be written; the cache is as it was
 */
export async function writeCachedSplit(
  cache: DataCache,
  key: string,
  { dataset, mask }: CachedSplit,
): Promise<boolean> {
  const { count, kind, ids, typeIds, special, offsets, labels, tokenLabels } = dataset;
  const header: Header = {
    ...{ key, kind, count, tokens: ids.length, tokenLabels: tokenLabels !== undefined },
    ...(mask === undefined ? {} : { mask }),
  };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32LE(json.length);
  const arrays = [labels, offsets, ids, tokenLabels ?? new Int32Array(0), typeIds, special];
  const content = Buffer.concat([length, json, ...arrays.map(bytesOf)]);
  if (content.length > cache.limitBytes) return false;
  await mkdir(cache.folder, { recursive: true, mode: 0o700 });
  const file = fileOf(cache, key);
  const beside = `${file}.${process.pid}-${randomUUID().slice(0, 8)}.tmp`;
  try {
    const handle = await open(beside, 'wx', 0o600);
    try {
      // Not synced: what a power cut leaves of it fails its checksum.
      await handle.writeFile(Buffer.concat([magic, digestOf(content), content]));
    } finally {
      await handle.close();
    }
    await insist(() => rename(beside, file));
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await deleteOldest(cache);
  return true;
}

/** Others may delete at the same time, or still read: a file that can't be deleted now is for the next one. */
async function deleteOldest({ folder, limitBytes }: DataCache): Promise<void> {
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
