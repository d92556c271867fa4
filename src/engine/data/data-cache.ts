import { z } from 'zod';
import { keep, readKept, type FileCache } from '../checked-cache.ts';
import type { Dataset } from './dataset.ts';

/** Tokenised splits kept for the next run. A file is believed after its checksum, its length and its indices were checked. */

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

/** Enough for the largest of GLUE several times over. */
export const DATA_CACHE_BYTES = 512 << 20;

const splits = { magic: 'PEFTTOK1', ending: '.tokens' } as const;
const lengthBytes = 4;
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
  if (bytes.length < lengthBytes) return 'it is cut short';
  const headerLength = bytes.readUInt32LE(0);
  if (headerLength > longestHeader || lengthBytes + headerLength > bytes.length) return 'its header is too long';
  const parsed = headerSchema.safeParse(jsonOf(bytes.toString('utf8', lengthBytes, lengthBytes + headerLength)));
  if (!parsed.success) return 'its header is malformed';
  const { kind, count, tokens, tokenLabels, mask } = parsed.data;
  if (parsed.data.key !== key) return 'it belongs to other data';
  const sizes = sizesOf(parsed.data);
  let at = lengthBytes + headerLength;
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
export async function readCachedSplit(cache: FileCache, key: string, vocabularySize: number): Promise<CacheAnswer> {
  const kept = await readKept(cache, splits, key);
  if (kept.kind !== 'found') return kept;
  const split = parse(kept.content, key, vocabularySize);
  return typeof split === 'string' ? { kind: 'damaged', file: kept.file, problem: split } : { kind: 'found', split };
}

/**
 * Keeps a split.
 * @returns false where it is too large to be kept
 * @throws what the system said when it could not be written; the cache is as it was
 */
export async function writeCachedSplit(
  cache: FileCache,
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
  return keep(cache, splits, key, content);
}
