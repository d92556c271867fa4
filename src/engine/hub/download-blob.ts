import { createHash, randomUUID } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, rename, truncate } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { systemErrorCode } from '../text-files.ts';
import { putInPlace } from './cache.ts';
import type { Fetch } from './client.ts';

/** A file of a model on the hub. */
export interface RemoteFile {
  readonly name: string;
  readonly size: number;
  /** The git blob's SHA-1, or the content's SHA-256 for large files. The name of the blob in the cache. */
  readonly hash: string;
}

/** What is downloaded, and how. */
export interface BlobDownload {
  readonly url: string;
  readonly file: RemoteFile;
  /** The model's id, for messages. */
  readonly model: string;
  readonly fetch: Fetch;
  readonly signal: AbortSignal | undefined;
  /** Told after every portion how many bytes are there. */
  readonly onReceived: (bytes: number) => void;
}

const attempts = 3;
const active = new Set<string>();

/**
 * Downloads a file beside its place, checks length and hash, and renames it: a blob is always whole. A download that was broken off,
 * even by another process, is continued.
 * @throws UserError when it did not succeed; what the file system or the hub refuse; the signal's reason
 */
export async function downloadBlob(download: BlobDownload, blob: string): Promise<void> {
  const { file, model, signal } = download;
  const partial = await claimPartial(blob);
  active.add(partial);
  try {
    let problem = '';
    for (let attempt = 0; attempt < attempts; attempt++) {
      signal?.throwIfAborted();
      const outcome = await continueDownload(download, partial);
      if (outcome.kind === 'whole') {
        await putInPlace(partial, blob);
        return;
      }
      ({ problem } = outcome);
    }
    throw new UserError(
      `the download of ${file.name} of ${model} did not succeed: ${problem}`,
      'Run the same command again; it goes on from where it stopped.',
    );
  } finally {
    active.delete(partial);
  }
}

type Outcome = { readonly kind: 'whole' } | { readonly kind: 'broken'; readonly problem: string };

/** Adds what is missing to a partial file. */
async function continueDownload(download: BlobDownload, partial: string): Promise<Outcome> {
  const { file } = download;
  const handle = await open(partial, 'a+');
  // By its name: Windows shortens no file by a handle that was opened for appending.
  const empty = (): Promise<void> => truncate(partial);
  try {
    let received = (await handle.stat()).size;
    if (received > file.size) {
      await empty();
      received = 0;
    }
    let hash = startHash(file);
    if (received > 0)
      for await (const chunk of createReadStream(partial, { end: received - 1 })) hash.update(chunk as Uint8Array);
    if (received < file.size) {
      const response = await download.fetch(
        download.url,
        received === 0 ? {} : { headers: { Range: `bytes=${received}-` } },
      );
      if (received > 0 && !(response.headers.get('Content-Range') ?? '').startsWith(`bytes ${received}-`)) {
        // The whole file comes, whatever was asked for.
        await empty();
        received = 0;
        hash = startHash(file);
      }
      try {
        for await (const chunk of response.body ?? []) {
          const bytes = chunk as Uint8Array;
          received += bytes.length;
          if (received > file.size) break;
          await handle.appendFile(bytes);
          hash.update(bytes);
          download.onReceived(received);
        }
      } catch (thrown) {
        download.signal?.throwIfAborted();
        if (isWriteProblem(thrown)) throw thrown;
        return { kind: 'broken', problem: `the connection broke after ${received} of ${file.size} bytes` };
      }
      if (received < file.size) return { kind: 'broken', problem: `it ended after ${received} of ${file.size} bytes` };
    }
    if (received === file.size && hash.digest('hex') === file.hash) {
      await handle.sync();
      return { kind: 'whole' };
    }
    await empty();
    return { kind: 'broken', problem: 'what came is not the file that the hub promised (its hash differs)' };
  } finally {
    await handle.close();
  }
}

/** Disk problems carry the code of a system call on a file; those of the connection come from the network layer. */
function isWriteProblem(thrown: unknown): boolean {
  return thrown instanceof Error && 'syscall' in thrown && thrown.syscall === 'write';
}

function startHash({ hash, size }: RemoteFile): Hash {
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

/**
 * The partial file to write to: one that a process that is gone left behind, renamed to ours so that nobody else continues it too, or
 * a new one.
 */
async function claimPartial(blob: string): Promise<string> {
  const host = hostname().replaceAll(/[^\w-]/gu, '_');
  const own = `${blob}.${host}.${process.pid}.${randomUUID().slice(0, 8)}.incomplete`;
  const prefix = `${blob}.${host}.`;
  const folder = dirname(blob);
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!path.startsWith(prefix) || !name.endsWith('.incomplete') || active.has(path)) continue;
    const owner = Number(path.slice(prefix.length).split('.')[0]);
    if (owner !== process.pid && isAlive(owner)) continue;
    try {
      await rename(path, own);
      return own;
    } catch (thrown) {
      // Another process was quicker.
      if (systemErrorCode(thrown) !== 'ENOENT') throw thrown;
    }
  }
  return own;
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (thrown) {
    return systemErrorCode(thrown) === 'EPERM';
  }
}
