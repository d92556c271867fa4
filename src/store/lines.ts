import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { isMissing, readBytes } from '../runs/files.ts';

/** What was seen of a file when it was opened. */
export interface Seen {
  readonly size: number;
  /** Milliseconds since 1970 of its last change. */
  readonly time: number;
}

/** One complete line without its line feed; `text` is undefined where the line is longer than any we write. */
export interface Line {
  /** The byte of the file at which it begins. */
  readonly position: number;
  readonly text: string | undefined;
}

export interface OpenFile extends Seen {
  readonly descriptor: number;
}

/** Lines longer than this are not ours; they are skipped without being held in memory. */
const longestLine = 16 * 1024 * 1024;

/** How many bytes at each end of what was read make up the fingerprint. */
const fingerprintSpan = 512;

/** Calls `work` with the opened file, or answers undefined when there is no such file (a directory in its place included). */
export function withFile<T>(path: string, work: (file: OpenFile) => T): T | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) return undefined;
    return work({ descriptor, size: stat.size, time: stat.mtimeMs });
  } finally {
    closeSync(descriptor);
  }
}

/**
 * A short name for the content of a file up to `position`: of its first and last bytes before there. An append-only file keeps
 * it; one that was truncated and written on, or replaced, does not (the lines hold times).
 */
export function fingerprint(file: OpenFile, position: number): string {
  const span = Math.min(position, fingerprintSpan);
  return createHash('sha256')
    .update(readBytes(file.descriptor, 0, span))
    .update(readBytes(file.descriptor, position - span, span))
    .digest('hex')
    .slice(0, 24);
}

export interface Slice {
  readonly lines: readonly Line[];
  /** Where the next slice begins. A last line without its line feed is still being written, so it stays before this. */
  readonly next: number;
  /** Whether more complete lines may follow at `next`. */
  readonly more: boolean;
}

/** The first line feed at or after `start`, searched without holding the line; -1 when there is none yet. */
function findLineFeed(file: OpenFile, start: number): number {
  const step = 1024 * 1024;
  for (let at = start; at < file.size; at += step) {
    const found = readBytes(file.descriptor, at, Math.min(step, file.size - at)).indexOf(10);
    if (found >= 0) return at + found;
  }
  return -1;
}

/** The complete lines from byte `start` on, about `budget` bytes of them and at least one if there is one. */
export function readSlice(file: OpenFile, start: number, budget: number): Slice {
  const available = Math.max(0, file.size - start);
  let bytes = readBytes(file.descriptor, start, Math.min(available, budget));
  let end = bytes.lastIndexOf(10);
  if (end < 0 && bytes.length < available) {
    bytes = readBytes(file.descriptor, start, Math.min(available, longestLine));
    end = bytes.indexOf(10);
    if (end < 0 && bytes.length === longestLine) {
      const feed = findLineFeed(file, start + longestLine);
      if (feed >= 0) return { lines: [{ position: start, text: undefined }], next: feed + 1, more: true };
    }
  }
  if (end < 0) return { lines: [], next: start, more: false };
  const lines: Line[] = [];
  for (let begin = 0; begin <= end;) {
    const feed = bytes.indexOf(10, begin);
    lines.push({ position: start + begin, text: bytes.toString('utf8', begin, feed) });
    begin = feed + 1;
  }
  const more = bytes.includes(10, end + 1) || start + bytes.length < file.size;
  return { lines, next: start + end + 1, more };
}
