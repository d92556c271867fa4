import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { UserError } from '../base/errors.ts';
import { insistently } from '../engine/insistently.ts';

/** Nothing more can be written: the disk or the user's share of it is full, or a limit on the size of files is reached. */
export class DiskFullError extends UserError {
  override readonly name = 'DiskFullError';
}

const fullCodes: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: "the user's quota of disk space is used up",
  EFBIG: 'the greatest size that files may have here is reached',
};

/** The system's code of an error, `ENOENT` for one; undefined where it has none. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The error as the user should see it: a full disk is the user's to mend, anything else stays what it is. */
export function asDiskFull(error: unknown, file: string): unknown {
  const reason = fullCodes[errorCode(error) ?? ''];
  if (reason === undefined) return error;
  return new DiskFullError(
    `${file} cannot be written: ${reason}`,
    'Free some space, then resume: nothing that was recorded is lost.',
    { cause: error },
  );
}

/** Writes all of it, however many calls the system makes of that. */
export function writeFully(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done, bytes.length - done);
}

/** A text that no other process will choose. */
export function nonce(): string {
  return randomBytes(8).toString('hex');
}

/** A sibling name for what is not yet complete. */
export function temporaryName(file: string): string {
  return `${file}.${process.pid}-${nonce()}.tmp`;
}

/**
 * Puts a whole new content in the place of a file: readers see the old or the new, never a part, also after a crash when `sync` is set.
 * @throws DiskFullError
 */
export function writeAtomically(file: string, content: string, { sync = true } = {}): void {
  const temporary = temporaryName(file);
  try {
    const descriptor = openSync(temporary, 'wx');
    try {
      writeFully(descriptor, Buffer.from(content));
      if (sync) fdatasyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    insistently(() => renameSync(temporary, file));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw asDiskFull(error, file);
  }
}

function endsInsideLine(descriptor: number): boolean {
  const { size } = fstatSync(descriptor);
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  readSync(descriptor, last, 0, 1, size - 1);
  return last[0] !== 0x0a;
}

/**
 * Appends values to a file of JSON lines that several processes may write: in one write, and on a new line even where another's last
 * line broke off. Readers have to pass over empty lines.
 * @param options `mode`: the permissions of a file that is made
 * @throws DiskFullError
 */
export function appendLines(file: string, values: readonly unknown[], { sync = true, mode = 0o666 } = {}): void {
  if (values.length === 0) return;
  const lines = values.map((value) => `${JSON.stringify(value)}\n`).join('');
  try {
    const descriptor = insistently(() => openSync(file, 'a+', mode));
    try {
      writeFully(descriptor, Buffer.from(endsInsideLine(descriptor) ? `\n${lines}` : lines));
      if (sync) fdatasyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw asDiskFull(error, file);
  }
}

/** Whether the error says that there is nothing at the path. */
export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR';
}

/** The system's error for reading a folder as a file, which does not say by itself which one. */
function folderInPlaceOf(file: string): Error {
  return Object.assign(new Error(`EISDIR: illegal operation on a directory, read '${file}'`), { code: 'EISDIR' });
}

/** The text of a file, or nothing where there is none. */
export function readIfThere(file: string): string | undefined {
  try {
    return insistently(() => readFileSync(file, 'utf8'));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw errorCode(error) === 'EISDIR' ? folderInPlaceOf(file) : error;
  }
}

/** Whether two paths lead to one file: by any link, or written otherwise where names have no case. */
export function isSameFile(path: string, other: string): boolean {
  const [one, two] = [path, other].map((each) => statSync(each, { bigint: true, throwIfNoEntry: false }));
  if (one === undefined || two === undefined) return false;
  // Some file systems number nothing.
  if (one.ino !== 0n || two.ino !== 0n) return one.dev === two.dev && one.ino === two.ino;
  return realpathSync.native(path) === realpathSync.native(other);
}

/** Deletes a file, if it is there. */
export function removeFile(file: string): void {
  insistently(() => rmSync(file, { force: true }));
}

/** A file to be read, or nothing where there is none. */
export function openIfThere(file: string): number | undefined {
  let descriptor: number;
  try {
    descriptor = insistently(() => openSync(file, 'r'));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  if (!fstatSync(descriptor).isDirectory()) return descriptor;
  closeSync(descriptor);
  throw folderInPlaceOf(file);
}

/** The bytes from `start` on, fewer than `length` where the file has ended meanwhile. */
export function readBytes(descriptor: number, start: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const got = readSync(descriptor, bytes, done, length - done, start + done);
    if (got === 0) break;
    done += got;
  }
  return bytes.subarray(0, done);
}

/** The end of a text file, at most `most` bytes, or nothing where there is none. */
export function readTail(file: string, most: number): string | undefined {
  const descriptor = openIfThere(file);
  if (descriptor === undefined) return undefined;
  try {
    const { size } = fstatSync(descriptor);
    const length = Math.min(size, most);
    return readBytes(descriptor, size - length, length).toString('utf8');
  } finally {
    closeSync(descriptor);
  }
}

/** A value parsed from JSON, or nothing where it does not parse. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
