import { chmodSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import {
  fileSystemOf,
  fileSystemOfType,
  typeInMountList,
  typeInMounts,
  type FileSystem,
} from '../../../src/store/file-system.ts';
import { databaseLocation } from '../../../src/store/location.ts';
import { makeWorkspace, type Workspace } from './workspace.ts';

const mounts = `sysfs /sys sysfs rw,nosuid 0 0
/dev/sda1 / ext4 rw 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
me@host:/data /mnt/my\\040data fuse.sshfs rw 0 0
/dev/sdb1 /mnt/disk fuseblk rw 0 0
tmpfs /home/me/scratch tmpfs rw 0 0
server:/new /home/me/scratch lustre rw 0 0
`;

describe('the file system that holds a folder', () => {
  it.each([
    ['/srv/work', 'ext4', 'local'],
    ['/home', 'nfs4', 'network'],
    ['/home/me/peft', 'nfs4', 'network'],
    ['/homestead', 'ext4', 'local'],
    ['/mnt/my data/w', 'fuse.sshfs', 'network'],
    ['/mnt/disk/w', 'fuseblk', 'local'],
    ['/home/me/scratch/w', 'lustre', 'network'],
  ])('%s is on %s', (path, type, kind) => {
    expect(typeInMounts(mounts, path)).toBe(type);
    expect(fileSystemOfType(type).kind).toBe(kind);
  });

  it('is read from the mount list of macOS', () => {
    const list = `/dev/disk3s1s1 on / (apfs, sealed, local)
//me@nas/share on /Volumes/our share (smbfs, nodev, nosuid)
`;
    expect(typeInMountList(list, '/Volumes/our share/w')).toBe('smbfs');
    expect(typeInMountList(list, '/Users/me')).toBe('apfs');
    expect(fileSystemOfType('smbfs').kind).toBe('network');
  });

  it.each(['nfs', 'cifs', 'smb3', 'lustre', 'gpfs', 'beegfs', 'ceph', '9p', 'virtiofs', 'fuse.rclone', 'fuse'])(
    'takes %s for shared',
    (type) => expect(fileSystemOfType(type).kind).toBe('network'),
  );

  it('is found for a real folder', () => {
    expect(fileSystemOf('/').name).not.toBe('');
    expect(fileSystemOf('/nowhere/at/all')).toEqual({ kind: 'local', name: 'unknown' });
  });
});

describe('where the database lives', () => {
  let workspace: Workspace;
  beforeEach(() => {
    workspace = makeWorkspace();
  });
  afterEach(() => workspace.remove());

  const network: FileSystem = { kind: 'network', name: 'nfs' };
  const local: FileSystem = { kind: 'local', name: 'ext4' };
  const networkBelow = (folder: string) => (path: string) => (path.startsWith(folder) ? network : local);

  it('is in the workspace on a local file system, .peft there or not', () => {
    const expected = { path: join(workspace.root, '.peft', 'peft.db'), journalMode: 'wal', reason: undefined };
    expect(databaseLocation(workspace.root, { fileSystemOf: () => local })).toEqual(expected);
    const fresh = join(workspace.root, 'fresh');
    expect(databaseLocation(fresh, { fileSystemOf: () => local }).path).toBe(join(fresh, '.peft', 'peft.db'));
  });

  it('is in a private cache folder when the workspace is on the network', () => {
    const project = join(workspace.root, 'project');
    mkdirSync(project);
    const cache = join(workspace.root, 'cache');
    const options = { fileSystemOf: networkBelow(project), caches: [cache] };
    const found = databaseLocation(project, options);
    expect(found.path.startsWith(join(cache, 'databases'))).toBe(true);
    expect(found.journalMode).toBe('wal');
    expect(found.reason).toContain('nfs');
    if (process.platform !== 'win32') expect(statSync(cache).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(found.path, '..', 'workspace.txt'), 'utf8')).toBe(`${realpathSync(project)}\n`);

    const other = join(workspace.root, 'project2');
    mkdirSync(other);
    expect(databaseLocation(other, { ...options, fileSystemOf: networkBelow(workspace.root) }).path).not.toBe(
      found.path,
    );
    const link = join(workspace.root, 'link');
    symlinkSync(project, link);
    expect(
      databaseLocation(link, { ...options, fileSystemOf: (path) => (path.startsWith(cache) ? local : network) }).path,
    ).toBe(found.path);
  });

  it('is out of a folder that is not trusted, whose own database nobody opens', () => {
    const cache = join(workspace.root, 'cache');
    const project = join(workspace.root, 'project');
    mkdirSync(project);
    const options = { fileSystemOf: () => local, caches: [cache], trusted: false };
    const found = databaseLocation(project, options);
    expect(found.path.startsWith(join(cache, 'databases'))).toBe(true);
    expect(found).toMatchObject({ journalMode: 'wal', reason: `${project} is not trusted` });
    // What was read before the folder was trusted is not what is relied on afterwards.
    const trusted = { ...options, trusted: true, fileSystemOf: networkBelow(project) };
    expect(databaseLocation(project, trusted).path).not.toBe(found.path);
    expect(readdirSync(project)).toEqual([]);
    const nowhere = () => databaseLocation(project, { ...options, caches: [] });
    expect(nowhere).toThrow(UserError);
  });

  it.skipIf(process.platform === 'win32')(
    'passes over caches on the network and caches of others, and never uses WAL on the network',
    () => {
      const home = join(workspace.root, 'home-cache');
      const others = join(workspace.root, 'others');
      const temporary = join(workspace.root, 'temporary');
      mkdirSync(others);
      // Anybody may put a file there.
      chmodSync(others, 0o777);
      const lookAt = (path: string): FileSystem =>
        path.startsWith(others) || path.startsWith(temporary) ? local : network;
      const found = databaseLocation(workspace.root, { fileSystemOf: lookAt, caches: [home, others, temporary] });
      expect(found.path.startsWith(temporary)).toBe(true);
      const allNetwork = databaseLocation(workspace.root, { fileSystemOf: () => network, caches: [home] });
      expect(allNetwork.journalMode).toBe('delete');
      expect(allNetwork.path.startsWith(home)).toBe(true);
    },
  );
});
