import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync, statfsSync } from 'node:fs';

/**
 * Whether a folder lies on a file system that several machines share. SQLite's locks are not dependable there, and its WAL mode
 * needs memory shared between the processes (https://www.sqlite.org/wal.html), so no database may live on one.
 */

export interface FileSystem {
  readonly kind: 'local' | 'network';
  /** The kind's name as far as it is known, for messages. */
  readonly name: string;
}

/** `f_type` of statfs(2) on Linux, from the kernel's magic.h and the file systems' own sources. */
const networkMagic: ReadonlyMap<number, string> = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x564c, 'ncp'],
  [0x5346414f, 'afs'],
  [0x6b414653, 'afs'],
  [0x73757245, 'coda'],
  [0x00c36400, 'ceph'],
  [0x0bd00bd0, 'lustre'],
  [0x47504653, 'gpfs'],
  [0x19830326, 'beegfs'],
  [0xaad7aaea, 'panfs'],
  [0x20030528, 'orangefs'],
  [0x7461636f, 'ocfs2'],
  [0x01161970, 'gfs2'],
  [0x013111a8, 'ibrix'],
  [0x01021997, '9p'],
  [0x786f4256, 'vboxsf'],
  [0xbacbacbc, 'vmhgfs'],
]);

const fuseMagic = 0x65735546;

/** File systems whose `f_type` is the one of FUSE and that lie on this machine alone. Others of FUSE are taken for shared. */
const localFuse: ReadonlySet<string> = new Set([
  'fuseblk',
  'fuse.ntfs-3g',
  'fuse.exfat',
  'fuse.fuse-overlayfs',
  'fuse.gocryptfs',
  'fuse.encfs',
]);

const networkTypes: ReadonlySet<string> = new Set([
  ...networkMagic.values(),
  'nfs4',
  'smb3',
  'smbfs',
  'ncpfs',
  'afpfs',
  'webdav',
  'davfs',
  'pvfs2',
  'glusterfs',
  'fhgfs',
  'virtiofs',
  'drvfs',
  'prl_fs',
  'wekafs',
]);

/** The file system that the name of a mount table stands for. */
export function fileSystemOfType(type: string): FileSystem {
  const isNetwork = networkTypes.has(type) || (type.startsWith('fuse') && !localFuse.has(type));
  return { kind: isNetwork ? 'network' : 'local', name: type };
}

/**
 * The type of the file system that holds `path`, from a mount table in the form of `/proc/mounts`.
 * @param path absolute, without symbolic links
 */
export function typeInMounts(mounts: string, path: string): string | undefined {
  let best: { readonly length: number; readonly type: string } | undefined;
  for (const line of mounts.split('\n')) {
    const [, escaped, type] = line.split(' ');
    if (escaped === undefined || type === undefined) continue;
    const point = escaped.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));
    const holds = point === '/' || path === point || path.startsWith(`${point}/`);
    // Of two mounts on one point the later one covers the earlier.
    if (holds && point.length >= (best?.length ?? 0)) best = { length: point.length, type };
  }
  return best?.type;
}

/** The same for what macOS's `mount` prints: `//me@host/share on /Volumes/share (smbfs, nodev)`. */
export function typeInMountList(list: string, path: string): string | undefined {
  let best: { readonly length: number; readonly type: string } | undefined;
  for (const line of list.split('\n')) {
    const found = / on (.+) \(([^,)]+)/.exec(line);
    const [, point, type] = found ?? [];
    if (point === undefined || type === undefined) continue;
    const holds = point === '/' || path === point || path.startsWith(`${point}/`);
    if (holds && point.length >= (best?.length ?? 0)) best = { length: point.length, type };
  }
  return best?.type;
}

function onLinux(path: string): FileSystem {
  // The number is signed on some machines.
  const magic = statfsSync(path).type >>> 0;
  const name = networkMagic.get(magic);
  if (name !== undefined) return { kind: 'network', name };
  if (magic !== fuseMagic) return { kind: 'local', name: `type 0x${magic.toString(16)}` };
  return fileSystemOfType(typeInMounts(readFileSync('/proc/mounts', 'utf8'), path) ?? 'fuse');
}

/**
 * Finds out what holds an existing folder. Exact on Linux; on macOS by the mount table; on Windows network shares are told by
 * their path, mapped drives included. What can't be found out is taken for local.
 */
export function fileSystemOf(folder: string): FileSystem {
  try {
    const path = realpathSync.native(folder);
    if (process.platform === 'linux') return onLinux(path);
    if (process.platform === 'darwin') {
      const list = execFileSync('/sbin/mount', { encoding: 'utf8', timeout: 5000 });
      return fileSystemOfType(typeInMountList(list, path) ?? 'unknown');
    }
    if (process.platform === 'win32' && /^\\\\(\?\\UNC\\|[^?.])/i.test(path)) return { kind: 'network', name: 'share' };
  } catch {
    // Nothing rests on it but the choice of a folder.
  }
  return { kind: 'local', name: 'unknown' };
}
