import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { isPrivate, userCaches } from '../runs/user-cache.ts';
import { fileSystemOf, type FileSystem } from './file-system.ts';
import type { JournalMode } from './sqlite.ts';

export interface DatabaseLocation {
  readonly path: string;
  readonly journalMode: JournalMode;
  /** Why it is not in the workspace, or not in WAL mode; undefined in the ordinary case. */
  readonly reason: string | undefined;
}

export interface LocationOptions {
  /** What holds a folder; for tests. */
  readonly fileSystemOf?: (folder: string) => FileSystem;
  /** Folders to keep databases of other places in, best first; by default the user's cache folder, then the temporary one. */
  readonly caches?: readonly string[];
  /** False for a folder whose files may be anybody's: a database that lies there is not opened, and nothing is written there. */
  readonly trusted?: boolean;
}

/** The folder itself, or the nearest one above it that is there. */
function existing(folder: string): string {
  for (let path = resolve(folder); ; path = dirname(path)) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true || dirname(path) === path) return path;
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(existing(folder), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function realPath(folder: string): string {
  try {
    return realpathSync.native(folder);
  } catch {
    return resolve(folder);
  }
}

/**
 * Where the database of a workspace belongs: `<workspace>/.peft/peft.db`, unless that is on a network file system or can't be
 * written. Then it is in a cache folder on this machine, under a name made from the workspace's path, and is rebuilt there from
 * the run folders. So it is for a folder that is not trusted, and apart from the one of the same folder trusted. Makes the cache's
 * folders, not the workspace's.
 */
export function databaseLocation(workspace: string, options: LocationOptions = {}): DatabaseLocation {
  const { fileSystemOf: lookAt = fileSystemOf, caches = userCaches(), trusted = true } = options;
  const home = join(workspace, '.peft');
  const here = lookAt(existing(home));
  const writable = isWritable(home);
  if (trusted && here.kind === 'local' && writable)
    return { path: join(home, 'peft.db'), journalMode: 'wal', reason: undefined };

  const why = !trusted
    ? `${workspace} is not trusted`
    : here.kind === 'network'
      ? `${home} is on a network file system (${here.name})`
      : `${home} cannot be written`;
  const path = realPath(workspace);
  const key = createHash('sha256')
    .update(trusted ? path : `${path}\0untrusted`)
    .digest('hex')
    .slice(0, 32);
  const usable = caches.filter(isPrivate);
  const local = usable.find((cache) => lookAt(cache).kind === 'local');
  const cache = local ?? usable[0];
  if (cache === undefined && !trusted)
    throw new UserError(`${why}, and no cache folder can be used`, 'Trust the folder to see its runs.');
  if (cache === undefined)
    return { path: join(home, 'peft.db'), journalMode: 'delete', reason: `${why}, and no cache folder can be used` };
  const folder = join(cache, 'databases', key);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // So that a person who looks into the cache knows whose database it is.
  writeFileSync(join(folder, 'workspace.txt'), `${path}\n`);
  return {
    path: join(folder, 'peft.db'),
    journalMode: local === undefined ? 'delete' : 'wal',
    reason: local === undefined ? `${why}, and so is every cache folder` : why,
  };
}
