import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { keep, pathBeside, readKept } from '../../checked-cache.ts';
import type { GraphCache } from '../backend.ts';

/**
 * Graphs as the runtime has rewritten them, kept for runs that compile the same one: of the time that a session takes, rewriting is a fifth
 * to two fifths. What is kept holds no large weights, but points to those that lie in files, as the model does that it was made of; numbers
 * that the runtime computed from weights beforehand are in it.
 */

const graphs = { magic: 'PEFTONX1', ending: '.graph' } as const;

/** What a graph takes without its weights, several times over; whatever is larger holds weights, and would be a copy of them for each method. */
const MOST_BYTES = 8 << 20;

/**
 * The name under which a rewritten graph is kept: another for each graph, each content of the weights' files, and each runtime and
 * processor, for which a graph is rewritten.
 * @param model as it was before, serialised
 * @param runtime its version
 */
export function graphKey(model: Uint8Array, { weights }: GraphCache, runtime: string): string {
  const processor = cpus()[0]?.model ?? 'unknown';
  const where = JSON.stringify([weights, runtime, process.platform, process.arch, processor]);
  return createHash('sha256').update(where).update(model).digest('hex').slice(0, 32);
}

/** A rewritten graph, or nothing where there is none that is whole. */
export async function readGraph(cache: GraphCache, key: string): Promise<Uint8Array | undefined> {
  const kept = await readKept(cache, graphs, key);
  return kept.kind === 'found' ? kept.content : undefined;
}

/**
 * Lets a graph be written as it was rewritten, and keeps that. A cache that cannot be written is as good as none.
 * @param compile is given where to write it; nothing where that cannot be
 * @returns what `compile` does
 */
export async function keepGraph<T>(
  cache: GraphCache,
  key: string,
  compile: (file: string | undefined) => Promise<T>,
): Promise<T> {
  const made = await mkdir(cache.folder, { recursive: true, mode: 0o700 }).then(
    () => true,
    () => false,
  );
  if (!made) return compile(undefined);
  const file = pathBeside(cache, key);
  try {
    // Whether it failed at the file or at the graph, another try without the file shows.
    const compiled = await compile(file).catch(() => compile(undefined));
    await keepWritten(cache, key, file);
    return compiled;
  } finally {
    await rm(file, { force: true }).catch(() => undefined);
  }
}

async function keepWritten(cache: GraphCache, key: string, file: string): Promise<void> {
  try {
    const content = await readFile(file);
    if (content.length > 0 && content.length <= MOST_BYTES) await keep(cache, graphs, key, content);
  } catch {
    // The next run rewrites the graph itself.
  }
}

/** Whether a model without its files' weights is small enough to be kept. */
export function isSmall(model: Uint8Array): boolean {
  return model.length <= MOST_BYTES;
}
