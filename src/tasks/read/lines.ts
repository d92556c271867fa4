import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { FileError, messageOf } from '../../base/errors.ts';

/** Whole lines of a file, line ends included; `line` is the number of the first, from 1. */
export interface LineBlock {
  readonly bytes: Buffer;
  readonly line: number;
}

const newline = 0x0a;
const carriageReturn = 0x0d;
const chunkBytes = 1 << 20;
const longestLine = 16 << 20;

function openBytes(file: string): Readable {
  const raw = createReadStream(file, { highWaterMark: chunkBytes });
  if (!file.endsWith('.gz')) return raw;
  // The callback is empty because an error of either stream also ends the iteration over the last one.
  return pipeline(raw, createGunzip({ chunkSize: chunkBytes }), () => undefined);
}

/** What is wrong with a file that the system or the decompressor did not read, and what helps, where something does. */
function readingProblem(thrown: unknown): readonly [problem: string, advice?: string] {
  switch (thrown instanceof Error && 'code' in thrown ? thrown.code : undefined) {
    case 'ENOENT':
      return ['there is no such file'];
    case 'EISDIR':
      return ['this is a folder, not a file'];
    case 'EACCES':
      return ['no permission to read it'];
    case 'Z_DATA_ERROR':
      return [
        'this is not a gzip file, or a damaged one',
        'Copy it again; if it never was one, take .gz off its name.',
      ];
    case 'Z_BUF_ERROR':
      return ['the gzip file ends in the middle', 'Copy or download it again.'];
    default:
      return [`can't be read: ${messageOf(thrown)}`];
  }
}

/** A reading error as the user's error: what the system or the decompressor said of the file. */
export function readingError(file: string, thrown: unknown): FileError {
  if (thrown instanceof FileError) return thrown;
  const [problem, advice] = readingProblem(thrown);
  return new FileError(file, undefined, problem, advice, { cause: thrown });
}

function startsWithBom(bytes: Buffer): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

function requireUtf8(file: string, block: LineBlock): void {
  if (isUtf8(block.bytes)) return;
  eachLine(block, (start, end, line) => {
    if (!isUtf8(block.bytes.subarray(start, end)))
      throw new FileError(file, line, 'the line is not valid UTF-8', 'Convert the file to UTF-8.');
  });
}

/**
 * The file in blocks of whole lines, decompressed where its name ends in `.gz`, without a leading byte-order mark; the last line
 * may lack its line end. A block is valid until the next is asked for.
 * @throws FileError when it can't be read, is not UTF-8 (with the line), or holds a line of more than 16 MiB
 */
export async function* lineBlocks(file: string): AsyncGenerator<LineBlock> {
  let rest: Buffer = Buffer.alloc(0);
  let line = 1;
  let first = true;

  function take(bytes: Buffer): LineBlock {
    const block = { bytes: first && startsWithBom(bytes) ? bytes.subarray(3) : bytes, line };
    first = false;
    requireUtf8(file, block);
    for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) line++;
    return block;
  }

  try {
    for await (const chunk of openBytes(file) as AsyncIterable<Buffer>) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const end = bytes.lastIndexOf(newline) + 1;
      rest = bytes.subarray(end);
      if (rest.length > longestLine)
        throw new FileError(file, line, 'the line is longer than 16 MiB', 'Is this the right file?');
      if (end > 0) yield take(bytes.subarray(0, end));
    }
    if (rest.length > 0) yield take(rest);
  } catch (thrown) {
    throw readingError(file, thrown);
  }
}

/** Calls `visit` with the bytes [start, end) of each line, its line end (LF or CRLF) left out. */
export function eachLine(block: LineBlock, visit: (start: number, end: number, line: number) => void): void {
  const { bytes } = block;
  let { line } = block;
  for (let start = 0; start < bytes.length; line++) {
    const found = bytes.indexOf(newline, start);
    const next = found < 0 ? bytes.length : found;
    const end = found > start && bytes[found - 1] === carriageReturn ? found - 1 : next;
    visit(start, end, line);
    start = next + 1;
  }
}
