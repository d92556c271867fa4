import { lstatSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Folders of the user's, outside of any project, for what can be made again. */

/** What a variable says, where that is a place: one that is empty or relative says nothing (XDG Base Directory Specification). */
function folderIn(variable: string): string | undefined {
  const folder = process.env[variable];
  return folder !== undefined && isAbsolute(folder) ? folder : undefined;
}

/** Where the user's programs keep what they can make again. */
function userCache(): string {
  if (process.platform === 'win32') return folderIn('LOCALAPPDATA') ?? join(homedir(), 'AppData', 'Local');
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches');
  return folderIn('XDG_CACHE_HOME') ?? join(homedir(), '.cache');
}

function userName(): string {
  const { uid, username } = userInfo();
  return uid >= 0 ? String(uid) : username;
}

/** The folders that may be used, best first: the user's cache folder, then the temporary one. */
export function userCaches(): readonly string[] {
  return [join(userCache(), 'peft-lab'), join(tmpdir(), `peft-lab-${userName()}`)];
}

/** Makes the folder if need be; whether it is ours alone, so that nobody else can put a file in its place. */
export function isPrivate(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const stat = lstatSync(folder);
    if (!stat.isDirectory()) return false;
    return process.getuid === undefined || (stat.uid === process.getuid() && (stat.mode & 0o022) === 0);
  } catch {
    return false;
  }
}

/** Each version of this program and of Node leaves some megabytes, and Node deletes nothing. */
const COMPILED_BYTES = 128 << 20;

function bytesBelow(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    if (found?.isFile() === true) bytes += found.size;
  }
  return bytes;
}

/**
 * Where Node may keep what it compiled of our programs, so that the next one starts sooner; none where no folder is ours alone, for what lies
 * there is executed. Emptied when it has grown too large.
 */
export function compileCacheFolder(
  caches: readonly string[] = userCaches(),
  mostBytes: number = COMPILED_BYTES,
): string | undefined {
  for (const cache of caches) {
    const folder = join(cache, 'compiled');
    if (!isPrivate(cache) || !isPrivate(folder)) continue;
    try {
      if (bytesBelow(folder) > mostBytes) rmSync(folder, { recursive: true, force: true });
    } catch {
      // Another process writes or deletes there; it will do.
    }
    return folder;
  }
  return undefined;
}
