import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { homedir } from 'node:os';
import { describe, expect, it, vi } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { chooseNode, programEnvironment } from '../../../src/runs/node-binary.ts';
import { compileCacheFolder, userCaches } from '../../../src/runs/user-cache.ts';
import { temporaryFolder } from '../../support/runs.ts';

const version = process.versions.node;

function script(folder: string, name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${content}\n`, { mode: 0o755 });
  return path;
}

describe.skipIf(process.platform === 'win32')('the Node for trainers', () => {
  it('is the one that is set, or an error', async () => {
    const folder = temporaryFolder();
    expect(await chooseNode({ configured: process.execPath })).toEqual({
      path: process.execPath,
      version,
      electron: false,
    });
    await expect(chooseNode({ configured: script(folder, 'old', 'echo v18.20.1') })).rejects.toThrow(/is 18\.20\.1/);
    await expect(chooseNode({ configured: join(folder, 'missing') })).rejects.toThrow(UserError);
    await expect(chooseNode({ configured: script(folder, 'other', 'echo hello') })).rejects.toThrow(UserError);
  });

  it('is our own where that is one', async () => {
    expect(await chooseNode({ environment: {} })).toEqual({ path: process.execPath, version, electron: false });
  });

  it('is the one on PATH where ours is an editor or too old, and the editor last', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'bin'));
    symlinkSync(process.execPath, join(folder, 'bin', 'node'));
    const environment = { PATH: `relative:${join(folder, 'none')}:${join(folder, 'bin')}` };
    const editor = { path: '/usr/share/code/code', version: '22.19.0', electron: true };
    const old = { path: '/usr/bin/node', version: '20.1.0', electron: false };
    const found = { path: join(folder, 'bin', 'node'), version, electron: false };
    expect(await chooseNode({ environment, own: editor })).toEqual(found);
    expect(await chooseNode({ environment, own: old })).toEqual(found);
    expect(await chooseNode({ environment: {}, own: editor })).toEqual(editor);
    await expect(chooseNode({ environment: {}, own: old })).rejects.toThrow(/no Node 22/);
  });
});

describe('what Node compiled of our programs', () => {
  const node = { electron: false };

  it('is kept for the next one, unless the user has said otherwise', () => {
    const folder = temporaryFolder();
    try {
      vi.stubEnv('NODE_COMPILE_CACHE', undefined);
      vi.stubEnv('NODE_DISABLE_COMPILE_CACHE', undefined);
      expect(programEnvironment(node)['NODE_COMPILE_CACHE']).toMatch(/compiled$/);
      expect(programEnvironment({ electron: true })['NODE_COMPILE_CACHE']).toBeUndefined();
      vi.stubEnv('NODE_COMPILE_CACHE', folder);
      expect(programEnvironment(node)['NODE_COMPILE_CACHE']).toBe(folder);
      const program = join(folder, 'program.mjs');
      writeFileSync(program, 'export const one = 1;\n');
      execFileSync(process.execPath, [program], { env: programEnvironment(node) });
      expect(readdirSync(folder)).toHaveLength(2);
      vi.stubEnv('NODE_COMPILE_CACHE', undefined);
      vi.stubEnv('NODE_DISABLE_COMPILE_CACHE', '1');
      expect(programEnvironment(node)['NODE_COMPILE_CACHE']).toBeUndefined();
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('lies where nobody else can write, and is thrown away when it has grown too large', () => {
    const [open, own] = [join(temporaryFolder(), 'open'), join(temporaryFolder(), 'own')];
    mkdirSync(open);
    chmodSync(open, 0o777);
    const isSafe = process.platform === 'win32';
    expect(compileCacheFolder([open])).toBe(isSafe ? join(open, 'compiled') : undefined);
    expect(compileCacheFolder([open, own])).toBe(join(isSafe ? open : own, 'compiled'));
    const folder = compileCacheFolder([own]) ?? '';
    mkdirSync(join(folder, 'v1'));
    writeFileSync(join(folder, 'v1', 'code'), Buffer.alloc(5000));
    expect(compileCacheFolder([own], 5000)).toBe(folder);
    expect(existsSync(join(folder, 'v1'))).toBe(true);
    expect(compileCacheFolder([own], 4999)).toBe(folder);
    expect(existsSync(join(folder, 'v1'))).toBe(false);
  });
});

describe.skipIf(process.platform !== 'linux')("the user's cache", () => {
  it('is where XDG_CACHE_HOME says, unless it is empty or relative', () => {
    const usual = join(homedir(), '.cache', 'peft-lab');
    for (const [value, expected] of [
      ['/elsewhere', '/elsewhere/peft-lab'],
      ['', usual],
      ['here', usual],
    ] as const) {
      vi.stubEnv('XDG_CACHE_HOME', value);
      expect(userCaches()[0]).toBe(expected);
    }
    vi.unstubAllEnvs();
  });
});
