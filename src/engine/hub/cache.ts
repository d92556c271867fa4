/**
 * The cache that the Python tools use too: `models--<owner>--<name>/` with `blobs/` (the bytes, named by their hash),
 * `snapshots/<commit>/` (links to them) and `refs/` (which commit a branch was last seen at). What Python downloaded is found here,
 * and the other way round.
 */
import { randomUUID } from 'node:crypto';
import { copyFile, lstat, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { insist } from '../insistently.ts';
import { fileProblem, systemErrorCode } from '../text-files.ts';

/** A model of the hub on this disk. */
export interface Snapshot {
  readonly path: string;
  readonly commit: string;
}

/** Where the cache keeps a model. */
export function repositoryFolder(cacheFolder: string, id: string): string {
  return join(cacheFolder, `models--${id.replaceAll('/', '--')}`);
}

export const commitPattern = /^[0-9a-f]{40}$/u;

/** The snapshot that the cache last saw a revision at; undefined where it has none. */
export async function cachedSnapshot(cacheFolder: string, id: string, revision: string): Promise<Snapshot | undefined> {
  const repository = repositoryFolder(cacheFolder, id);
  let commit = revision;
  if (!commitPattern.test(revision))
    try {
      commit = (await readFile(join(repository, 'refs', revision), 'utf8')).trim();
    } catch (thrown) {
      if (systemErrorCode(thrown) === undefined) throw thrown;
      return undefined;
    }
  const path = join(repository, 'snapshots', commit);
  return commitPattern.test(commit) && (await exists(path)) ? { path, commit } : undefined;
}

/** Whether something is there, links followed. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Moves a whole file to its place. What another process put there is the same, and in use nothing can replace it on Windows. */
export async function putInPlace(whole: string, place: string): Promise<void> {
  if (await exists(place)) await rm(whole, { force: true });
  else await insist(() => rename(whole, place));
}

/** A link from the snapshot to the blob, relative so that the cache can be moved; a copy where links are not allowed. */
export async function link(blob: string, target: string): Promise<void> {
  try {
    await symlink(relative(dirname(target), blob), target);
  } catch (thrown) {
    if (systemErrorCode(thrown) !== 'EEXIST') {
      // Put in place whole: half a copy would be taken for the file ever after.
      const beside = `${target}.${process.pid}-${randomUUID().slice(0, 8)}.tmp`;
      try {
        await copyFile(blob, beside);
        await putInPlace(beside, target);
      } finally {
        await rm(beside, { force: true });
      }
      return;
    }
    // Another process may have made it; a link that leads nowhere is replaced.
    if (await exists(target)) return;
    await rm(target);
    await symlink(relative(dirname(target), blob), target);
  }
}

export interface CachedRepository {
  readonly id: string;
  readonly snapshots: readonly {
    readonly path: string;
    readonly commit: string;
    readonly revisions: readonly string[];
  }[];
}

/** The models in a hub cache; none if there is no cache. */
export async function cachedRepositories(cacheFolder: string): Promise<readonly CachedRepository[]> {
  const repositories: CachedRepository[] = [];
  for (const name of await names(cacheFolder)) {
    if (!name.startsWith('models--')) continue;
    const repository = join(cacheFolder, name);
    const revisions = new Map<string, string[]>();
    for (const reference of await referencesIn(join(repository, 'refs'), '')) {
      const commit = (await readFile(join(repository, 'refs', reference), 'utf8')).trim();
      revisions.set(commit, [...(revisions.get(commit) ?? []), reference]);
    }
    const snapshots = (await names(join(repository, 'snapshots')))
      .filter((commit) => commitPattern.test(commit))
      .map((commit) => ({
        path: join(repository, 'snapshots', commit),
        commit,
        revisions: revisions.get(commit) ?? [],
      }));
    repositories.push({ id: name.slice('models--'.length).replaceAll('--', '/'), snapshots });
  }
  return repositories;
}

async function referencesIn(folder: string, prefix: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of await names(folder)) {
    const entry = await lstat(join(folder, name));
    if (entry.isDirectory()) found.push(...(await referencesIn(join(folder, name), `${prefix}${name}/`)));
    else found.push(prefix + name);
  }
  return found;
}

async function names(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (thrown) {
    const code = systemErrorCode(thrown);
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw fileProblem(folder, thrown);
  }
}
