import { readFile } from 'node:fs/promises';
import { FileError, messageOf } from '../base/errors.ts';

/** What the operating system or the network layer said (`ENOENT`, `ECONNREFUSED`), if it was one of them that failed. */
export function systemErrorCode(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' && /^(E[A-Z0-9]+|UND_ERR_\w+)$/u.test(code) ? code : undefined;
}

const explanations: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EBUSY: 'another program has it open',
  EISDIR: 'is a folder, not a file',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files',
  EIO: 'the device reported an error',
};

/** A file error in words for what the operating system refused; anything else is passed on as it is. */
export function fileProblem(file: string, thrown: unknown): unknown {
  const code = systemErrorCode(thrown);
  if (thrown instanceof FileError || code === undefined) return thrown;
  return new FileError(file, undefined, explanations[code] ?? `cannot be used (${code})`, undefined, { cause: thrown });
}

/** The text of a file. @throws FileError if it cannot be read or is not UTF-8 */
export async function readText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (thrown) {
    throw fileProblem(file, thrown);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FileError(file, undefined, 'is not UTF-8 text', 'It may be damaged; get it again.', { cause });
  }
}

/** What a JSON file holds. @throws FileError if it cannot be read or is not JSON */
export async function readJson(file: string): Promise<unknown> {
  const text = await readText(file);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new FileError(file, undefined, `is not JSON: ${messageOf(cause)}`, 'It may be damaged; get it again.', {
      cause,
    });
  }
}
