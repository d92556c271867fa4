import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { endianness } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SplitName } from '../../tasks/task.ts';

/** All that decides what a tokenised split is, beside the code: two that agree in it are the same split. */
export interface SplitIdentity {
  readonly task: string;
  readonly split: SplitName;
  readonly maxLength: number;
  /** The head reads a mask token, which stands among the others. */
  readonly readsMask: boolean;
  /** The stratified subset that is taken. */
  readonly subset: { readonly examples: number; readonly seed: number } | undefined;
  readonly vocabularySize: number;
  readonly malformedRows: 'error' | 'skip';
}

/** The files that a split is made from: their contents count, and the names that tell their formats, not where they lie. */
export interface SplitFiles {
  readonly data: readonly string[];
  readonly tokenizer: readonly string[];
}

async function addFile(hash: Hash, file: string): Promise<void> {
  hash.update(`${basename(file)}\n${(await stat(file)).size}\n`);
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
}

/** The files of this program that decide how data are read and tokenised: the bundle itself, or in a checkout the sources. */
async function codeFiles(): Promise<readonly string[]> {
  const own = fileURLToPath(import.meta.url);
  if (!own.endsWith('.ts')) return [own];
  const source = join(dirname(own), '..', '..');
  const files: string[] = [join(source, 'engine', 'text-files.ts')];
  for (const folder of ['base', 'tasks', 'engine/data', 'engine/tokenizers'])
    for (const name of (await readdir(join(source, folder), { recursive: true })).sort())
      if (name.endsWith('.ts')) files.push(join(source, folder, name));
  // Which versions of the tokenizer's and the readers' libraries are installed.
  const lock = join(source, '..', 'package-lock.json');
  return (await stat(lock).catch(() => undefined)) === undefined ? files : [...files, lock];
}

let known: Promise<string> | undefined;

/** Another for every change of the code that reads and tokenises, and of what Node knows of Unicode. */
function codeDigest(): Promise<string> {
  known ??= (async () => {
    const hash = createHash('sha256');
    hash.update(`${process.versions.node} ${process.versions['unicode'] ?? ''} ${endianness()}\n`);
    for (const file of await codeFiles()) {
      hash.update(`${basename(file)}\n`);
      hash.update(await readFile(file));
    }
    return hash.digest('hex');
  })();
  return known;
}

/** The name under which a split is kept: 32 hexadecimal digits. @throws what the system says of a file that can't be read */
export async function splitKey(identity: SplitIdentity, files: SplitFiles): Promise<string> {
  const { task, split, maxLength, readsMask, subset, vocabularySize, malformedRows } = identity;
  const hash = createHash('sha256').update(`${await codeDigest()}\n`);
  const settings = [task, split, maxLength, readsMask, subset?.examples, subset?.seed, vocabularySize, malformedRows];
  hash.update(`${JSON.stringify(settings)}\n`);
  for (const list of [files.tokenizer, files.data]) {
    hash.update(`${list.length}\n`);
    for (const file of list) await addFile(hash, file);
  }
  return hash.digest('hex').slice(0, 32);
}
