import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { chooseNode } from '../../../src/runs/node-binary.ts';
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
