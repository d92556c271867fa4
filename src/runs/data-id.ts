import { createHash, createHmac, randomBytes } from 'node:crypto';
import { closeSync, constants, createReadStream, fsyncSync, openSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { FileError } from '../base/errors.ts';
import { errorCode, writeFully } from './files.ts';

/**
 * Tells a project's training data apart in records that may be published. A plain hash of private data would let anybody who has all but one
 * example test a guess at that one; under a key that stays in the project it tells nothing.
 */

const KEY_BYTES = 32;

/** Where a project keeps the key of its data's ids: in its `.peft`, for its owner alone. It is never deleted. */
export function dataKeyFile(peft: string): string {
  return join(peft, 'data-key');
}

function readKey(file: string): Uint8Array | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The project's key, made when it is first needed. @throws FileError when the file is there but holds no key */
function projectKey(peft: string): Uint8Array {
  const file = dataKeyFile(peft);
  try {
    const descriptor = openSync(file, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
    try {
      const key = randomBytes(KEY_BYTES);
      writeFully(descriptor, key);
      fsyncSync(descriptor);
      return key;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
  // Another process may be about to write it.
  for (let attempt = 0; ; attempt++) {
    const key = readKey(file);
    if (key?.length === KEY_BYTES) return key;
    if (attempt === 50)
      throw new FileError(
        file,
        undefined,
        `holds ${key?.length ?? 0} bytes in place of a key of ${KEY_BYTES}; remove it to go on with a new one, by which earlier runs' data are not recognised`,
      );
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
}

/** The `.peft` that a run's folder lies in; undefined for one that lies elsewhere. */
export function peftOfRun(folder: string): string | undefined {
  const runs = dirname(resolve(folder));
  const peft = dirname(runs);
  return basename(runs) === 'runs' && basename(peft) === '.peft' ? peft : undefined;
}

/**
 * The ids of files by their contents alone, one each: which key, and HMAC-SHA-256 under it.
 * @param peft the project's `.peft`, which must exist
 */
export async function dataIds(peft: string, files: readonly string[]): Promise<readonly string[]> {
  const key = projectKey(peft);
  const keyId = createHash('sha256').update(key).digest('hex').slice(0, 8);
  const ids: string[] = [];
  for (const file of files) {
    const hash = createHmac('sha256', key);
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
    ids.push(`${keyId}:${hash.digest('hex').slice(0, 32)}`);
  }
  return ids;
}

/** Whether two sets of ids, of the same project's key, are of different data; false where the keys differ and nothing can be said. */
export function areOtherData(a: readonly string[], b: readonly string[]): boolean {
  const keys = new Set([...a, ...b].map((id) => id.split(':')[0]));
  if (a.length === 0 || b.length === 0 || keys.size !== 1) return false;
  return [...a].sort().join() !== [...b].sort().join();
}
