/**
 * The safetensors format: eight bytes of header length, a JSON header naming each tensor's type, shape and place, then the bytes.
 * A file may come from anywhere, so nothing in the header is believed before it is checked; no more of the file is read than asked.
 */
import { randomUUID } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createScanner } from 'jsonc-parser';
import { FileError, messageOf } from '../base/errors.ts';
import { isRecord } from '../base/is-record.ts';
import { widen } from './half.ts';
import { insist } from './insistently.ts';
import { fileProblem, readJson, systemErrorCode } from './text-files.ts';

const bytesPerElement = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  F8_E4M3FNUZ: 1,
  F8_E5M2FNUZ: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
} as const;

/** The element types of the format whose elements are whole bytes. */
export type SafetensorsDtype = keyof typeof bytesPerElement;

function isDtype(name: unknown): name is SafetensorsDtype {
  return typeof name === 'string' && Object.hasOwn(bytesPerElement, name);
}

/** Where a tensor lies in its file. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** In bytes, from the beginning of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  readonly file: string;
  /** In bytes. */
  readonly fileSize: number;
  /** Where the header ends and the tensors begin, in bytes. */
  readonly dataOffset: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** The longest header that the reference implementation reads. */
const longestHeader = 100_000_000;
const lengthBytes = 8;
const damaged = 'The file is damaged or not finished; get it again.';

/**
 * Reads and checks the header of a safetensors file.
 * @throws FileError for a file that is missing, truncated, malformed or hostile
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withFile(path, (handle) => readHeader(handle, path));
}

async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    return await use(handle);
  } catch (thrown) {
    throw fileProblem(path, thrown);
  } finally {
    await handle?.close();
  }
}

async function readHeader(handle: FileHandle, path: string): Promise<SafetensorsHeader> {
  const { size } = await handle.stat();
  if (size < lengthBytes)
    throw new FileError(path, undefined, `is too short to be a safetensors file (${size} bytes)`, damaged);
  const start = new Uint8Array(lengthBytes);
  await readExactly(handle, path, start, 0);
  const declared = new DataView(start.buffer).getBigUint64(0, true);
  if (new TextDecoder().decode(start) === 'version ')
    throw new FileError(
      path,
      undefined,
      'is a Git LFS pointer, not the weights themselves',
      'Run `git lfs pull` where it was cloned, or download the file.',
    );
  if (declared > BigInt(longestHeader))
    throw new FileError(
      path,
      undefined,
      `is not a safetensors file, or is damaged: its header would be ${declared} bytes long, more than ${longestHeader}`,
    );
  const headerLength = Number(declared);
  const dataOffset = lengthBytes + headerLength;
  if (dataOffset > size)
    throw new FileError(
      path,
      undefined,
      `is truncated: its header ends at byte ${dataOffset}, the file at byte ${size}`,
      damaged,
    );
  const header = new Uint8Array(headerLength);
  await readExactly(handle, path, header, lengthBytes);
  return { file: path, fileSize: size, dataOffset, ...parseHeader(header, path, dataOffset, size) };
}

/** Fills `target` from `position`. @throws FileError if the file ends before */
async function readExactly(handle: FileHandle, path: string, target: Uint8Array, position: number): Promise<void> {
  const mostAtOnce = 2 ** 30;
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await handle.read(
      target,
      filled,
      Math.min(target.length - filled, mostAtOnce),
      position + filled,
    );
    if (bytesRead === 0) throw new FileError(path, undefined, `ends before byte ${position + target.length}`, damaged);
    filled += bytesRead;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function parseHeader(
  bytes: Uint8Array,
  path: string,
  dataOffset: number,
  fileSize: number,
): Pick<SafetensorsHeader, 'metadata' | 'tensors'> {
  const malformed = (problem: string, cause?: unknown): FileError =>
    new FileError(path, undefined, `malformed safetensors header: ${problem}`, undefined, { cause });
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw malformed('not UTF-8', cause);
  }
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw malformed(`not JSON (${messageOf(cause)})`, cause);
  }
  if (!isRecord(json)) throw malformed('not a JSON object');

  const metadata = new Map<string, string>();
  const tensors = new Map<string, TensorEntry>();
  const dataLength = fileSize - dataOffset;
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') {
      if (!isRecord(value)) throw malformed('"__metadata__" is not an object');
      for (const [key, entry] of Object.entries(value)) {
        if (typeof entry !== 'string') throw malformed(`"__metadata__" holds ${describe(key)}, which is not a string`);
        metadata.set(key, entry);
      }
      continue;
    }
    tensors.set(name, parseEntry(value, describe(name), dataOffset, dataLength, malformed, path));
  }
  const repeated = repeatedName(text);
  if (repeated !== undefined) throw malformed(`${describe(repeated)} is there twice`);
  checkLayout(tensors, dataOffset, fileSize, malformed);
  return { metadata: Object.fromEntries(metadata), tensors };
}

function parseEntry(
  value: unknown,
  name: string,
  dataOffset: number,
  dataLength: number,
  malformed: (problem: string) => FileError,
  path: string,
): TensorEntry {
  if (!isRecord(value)) throw malformed(`tensor ${name} is not an object`);
  const { dtype, shape, data_offsets: range } = value;
  if (!isDtype(dtype)) throw malformed(`tensor ${name} has the unknown type ${describe(dtype)}`);
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw malformed(`tensor ${name} has the shape ${describe(shape)}, which is not a list of sizes`);
  const [begin, end, more] = Array.isArray(range) ? (range as unknown[]) : [];
  if (!isCount(begin) || !isCount(end) || more !== undefined || begin > end)
    throw malformed(`tensor ${name} has the offsets ${describe(range)}, which are not a beginning and an end`);
  if (end > dataLength)
    throw new FileError(
      path,
      undefined,
      `is truncated: tensor ${name} ends at byte ${dataOffset + end}, the file at byte ${dataOffset + dataLength}`,
      damaged,
    );
  const expected = shape.reduce<number>((product, size) => product * size, bytesPerElement[dtype]);
  if (expected !== end - begin)
    throw malformed(
      `tensor ${name} is ${dtype} of shape [${shape.join(', ')}], which is ${expected} bytes, but holds ${end - begin}`,
    );
  return { dtype, shape, offset: dataOffset + begin, byteLength: end - begin };
}

/** A value from the file in a message, cut so that a hostile one cannot flood it (or nest too deeply to be written). */
function describe(value: unknown): string {
  const isFlat = (one: unknown): boolean => typeof one !== 'object' || one === null;
  if (value === undefined) return 'nothing';
  if (!isFlat(value) && !(Array.isArray(value) && value.length < 100 && value.every(isFlat)))
    return Array.isArray(value) ? 'a list of something else' : 'an object';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/**
 * A key that an object of the header repeats; `JSON.parse` keeps the last and says nothing. The text is known to be JSON. Token by
 * token, so that no depth of nesting can exhaust the stack.
 */
function repeatedName(text: string): string | undefined {
  // The numbers are jsonc-parser's SyntaxKind, a const enum that cannot be imported here.
  const [openBrace, closeBrace, openBracket, closeBracket, comma, stringLiteral, endOfFile] = [1, 2, 3, 4, 5, 10, 17];
  const scanner = createScanner(text, true);
  const open: (Set<string> | undefined)[] = [];
  let keyNext = false;
  for (let token: number = scanner.scan(); token !== endOfFile; token = scanner.scan()) {
    const keys = open.at(-1);
    if (token === stringLiteral && keyNext && keys !== undefined) {
      const name = scanner.getTokenValue();
      if (keys.has(name)) return name;
      keys.add(name);
    }
    if (token === openBrace) open.push(new Set());
    else if (token === openBracket) open.push(undefined);
    else if (token === closeBrace || token === closeBracket) open.pop();
    keyNext = token === openBrace || (token === comma && open.at(-1) !== undefined);
  }
  return undefined;
}

/** The format allows neither gaps nor overlaps: the tensors cover the file from the header's end to its own. */
function checkLayout(
  tensors: ReadonlyMap<string, TensorEntry>,
  dataOffset: number,
  fileSize: number,
  malformed: (problem: string) => FileError,
): void {
  const byPlace = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = dataOffset;
  for (const [name, { offset, byteLength }] of byPlace) {
    if (offset < end) throw malformed(`tensor ${describe(name)} overlaps the one before it`);
    if (offset > end) throw malformed(`${offset - end} bytes before tensor ${describe(name)} belong to no tensor`);
    end = offset + byteLength;
  }
  if (end !== fileSize) throw malformed(`the last ${fileSize - end} bytes of the file belong to no tensor`);
}

/** A tensor in memory. BOOL holds 0 and 1; F16 and BF16 hold the bits. */
export type Tensor = { readonly shape: readonly number[] } & (
  | { readonly dtype: 'F32'; readonly data: Float32Array }
  | { readonly dtype: 'F64'; readonly data: Float64Array }
  | { readonly dtype: 'F16' | 'BF16'; readonly data: Uint16Array }
  | { readonly dtype: 'I64'; readonly data: BigInt64Array }
  | { readonly dtype: 'I32'; readonly data: Int32Array }
  | { readonly dtype: 'U8' | 'BOOL'; readonly data: Uint8Array }
);

export interface ReadOptions {
  /** Turn F16 and BF16 into F32 (exactly); default true. */
  readonly widen?: boolean;
}

/**
 * Reads tensors by name, or all of them, and nothing else of the file.
 * @throws FileError if the file is malformed, lacks a name, or holds a tensor of a type that has no array here (8-bit floats)
 */
export async function readTensors(
  path: string,
  names?: Iterable<string>,
  { widen: wide = true }: ReadOptions = {},
): Promise<Map<string, Tensor>> {
  return withFile(path, async (handle) => {
    const header = await readHeader(handle, path);
    const tensors = new Map<string, Tensor>();
    for (const name of names ?? header.tensors.keys()) {
      const entry = header.tensors.get(name);
      if (entry === undefined) throw new FileError(path, undefined, `has no tensor "${name}"`);
      const bytes = new Uint8Array(entry.byteLength);
      await readExactly(handle, path, bytes, entry.offset);
      const tensor = tensorOf(entry, bytes.buffer);
      if (tensor === undefined)
        throw new FileError(path, undefined, `tensor "${name}" is of type ${entry.dtype}, which cannot be read here`);
      tensors.set(name, wide ? widened(tensor) : tensor);
    }
    return tensors;
  });
}

function tensorOf({ dtype, shape }: TensorEntry, buffer: ArrayBuffer): Tensor | undefined {
  switch (dtype) {
    case 'F32':
      return { dtype, shape, data: new Float32Array(buffer) };
    case 'F64':
      return { dtype, shape, data: new Float64Array(buffer) };
    case 'F16':
    case 'BF16':
      return { dtype, shape, data: new Uint16Array(buffer) };
    case 'I64':
      return { dtype, shape, data: new BigInt64Array(buffer) };
    case 'I32':
      return { dtype, shape, data: new Int32Array(buffer) };
    case 'U8':
    case 'BOOL':
      return { dtype, shape, data: new Uint8Array(buffer) };
    default:
      return undefined;
  }
}

function widened(tensor: Tensor): Tensor {
  if (tensor.dtype !== 'F16' && tensor.dtype !== 'BF16') return tensor;
  return { dtype: 'F32', shape: tensor.shape, data: widen(tensor.dtype, tensor.data) };
}

/** A tensor to write; its array tells its type, but for F16, BF16 and BOOL, which must be named. */
export interface WritableTensor {
  readonly shape: readonly number[];
  readonly data: Tensor['data'];
  readonly dtype?: Tensor['dtype'];
}

function dtypeOf({ data, dtype }: WritableTensor): Tensor['dtype'] {
  const possible: readonly Tensor['dtype'][] =
    data instanceof Float32Array
      ? ['F32']
      : data instanceof Float64Array
        ? ['F64']
        : data instanceof Int32Array
          ? ['I32']
          : data instanceof BigInt64Array
            ? ['I64']
            : data instanceof Uint16Array
              ? ['F16', 'BF16']
              : ['U8', 'BOOL'];
  const [usual] = possible;
  const chosen = dtype ?? (data instanceof Uint16Array ? undefined : usual);
  if (chosen === undefined || !possible.includes(chosen))
    throw new Error(
      `an array of ${data.constructor.name} cannot be written as ${dtype ?? 'anything unless its type is named'}`,
    );
  return chosen;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Writes a safetensors file: beside, synced, then renamed into place, so that a file of this name is always whole. The same tensors
 * and metadata give the same bytes: tensors are ordered by element size (largest first, which aligns them all) and then by name.
 * @throws FileError if it cannot be written (the old file, if any, is still there)
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, WritableTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ordered = [...tensors].sort(
    ([a, { data: x }], [b, { data: y }]) => y.BYTES_PER_ELEMENT - x.BYTES_PER_ELEMENT || compare(a, b),
  );
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0)
    entries.push(['__metadata__', Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => compare(a, b)))]);
  let end = 0;
  for (const [name, tensor] of ordered) {
    const { shape, data } = tensor;
    const dtype = dtypeOf(tensor);
    if (name === '__metadata__') throw new Error('a tensor cannot be called __metadata__');
    if (shape.reduce((product, size) => product * size, 1) !== data.length)
      throw new Error(`tensor ${name}: ${data.length} elements do not make the shape [${shape.join(', ')}]`);
    entries.push([name, { dtype, shape, data_offsets: [end, end + data.byteLength] }]);
    end += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const padded = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(lengthBytes + padded).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(json, lengthBytes);

  const beside = `${path}.${process.pid}-${randomUUID().slice(0, 8)}.tmp`;
  try {
    const handle = await open(beside, 'wx');
    try {
      await writeAll(handle, head);
      for (const [, { data }] of ordered)
        await writeAll(handle, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await insist(() => rename(beside, path));
    await syncFolder(dirname(path));
  } catch (thrown) {
    await rm(beside, { force: true });
    throw fileProblem(path, thrown);
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  const mostAtOnce = 2 ** 30;
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, mostAtOnce));
    done += bytesWritten;
  }
}

/** Makes a rename durable. Some platforms and file systems cannot sync a folder; there the rename is as durable as it gets. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(folder, 'r');
    await handle.sync();
  } catch (thrown) {
    if (systemErrorCode(thrown) === undefined) throw thrown;
  } finally {
    await handle?.close();
  }
}

/** A tensor of a checkpoint, which may have several files. */
export interface CheckpointTensor extends TensorEntry {
  readonly name: string;
  readonly file: string;
}

const wholeFile = 'model.safetensors';
const indexFile = 'model.safetensors.index.json';

/**
 * Where each tensor of a checkpoint lies: of `model.safetensors`, or of the shards that `model.safetensors.index.json` names. Reads
 * headers, not weights.
 * @param path the folder, or one of the two files (or another safetensors file)
 * @throws FileError if a file is missing or malformed, or if index and shards do not agree
 */
export async function openCheckpoint(path: string): Promise<ReadonlyMap<string, CheckpointTensor>> {
  const file = await checkpointFile(path);
  if (!file.endsWith('.json')) return tensorsOf(await readSafetensorsHeader(file));
  const index = await readJson(file);
  const weights = isRecord(index) ? index['weight_map'] : undefined;
  if (!isRecord(weights)) throw new FileError(file, undefined, 'has no "weight_map"', damaged);
  const folder = dirname(file);
  const shards = new Map<string, ReadonlyMap<string, CheckpointTensor>>();
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, shard] of Object.entries(weights)) {
    if (typeof shard !== 'string' || !/^[\w.-]+\.safetensors$/u.test(shard))
      throw new FileError(
        file,
        undefined,
        `puts "${name}" into ${describe(shard)}, which is not a safetensors file beside it`,
      );
    let inShard = shards.get(shard);
    if (inShard === undefined)
      shards.set(shard, (inShard = tensorsOf(await readSafetensorsHeader(join(folder, shard)))));
    const tensor = inShard.get(name);
    if (tensor === undefined)
      throw new FileError(join(folder, shard), undefined, `has no tensor "${name}", although ${indexFile} says so`);
    tensors.set(name, tensor);
  }
  return tensors;
}

function tensorsOf(header: SafetensorsHeader): ReadonlyMap<string, CheckpointTensor> {
  return new Map([...header.tensors].map(([name, entry]) => [name, { name, file: header.file, ...entry }]));
}

async function checkpointFile(path: string): Promise<string> {
  if (!(await isFolder(path))) return path;
  for (const name of [wholeFile, indexFile]) if (await exists(join(path, name))) return join(path, name);
  throw new FileError(path, undefined, `has no weights (${wholeFile}, or ${indexFile} with its shards)`);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (thrown) {
    throw fileProblem(path, thrown);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (thrown) {
    if (systemErrorCode(thrown) === 'ENOENT') return false;
    throw fileProblem(path, thrown);
  }
}
