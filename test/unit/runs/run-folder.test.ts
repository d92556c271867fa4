import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileError, UserError } from '../../../src/base/errors.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import { collectEnvironment, gitState } from '../../../src/runs/environment.ts';
import { openIfThere, readIfThere } from '../../../src/runs/files.ts';
import {
  createRun,
  findRun,
  isRunId,
  listRuns,
  newRunId,
  openWorkspace,
  readConfiguration,
  readEnvironment,
  readRecordedConfiguration,
  runFolder,
  writeEnvironment,
} from '../../../src/runs/run-folder.ts';
import { runState } from '../../../src/runs/run-state.ts';
import {
  newRun,
  someConfiguration,
  someEnvironment,
  someRun,
  temporaryFolder,
  temporaryWorkspace,
} from '../../support/runs.ts';

describe('ids', () => {
  it('sort by age, also within a millisecond', () => {
    const ids = Array.from({ length: 200 }, () => newRunId(1_800_000_000_000));
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(200);
    expect(ids.every(isRunId)).toBe(true);
  });

  it('tell the time', () => {
    expect(newRunId(Date.UTC(2126, 10, 21, 4, 15, 12, 123))).toMatch(/^21261121-041512123-[0-9a-z]{6}$/);
  });

  it('are the only texts that become paths', () => {
    const workspace = temporaryWorkspace();
    const hostile = [
      '..',
      '../x',
      '/etc',
      '.',
      '',
      'a\0b',
      '20261121-041512123-4f9k2a/..',
      '20261121-041512123-4F9K2A',
      'con',
      '20261121-041512123-4f9k2a\n',
    ];
    for (const text of hostile) expect(() => runFolder(workspace, text)).toThrow(UserError);
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!isRunId(text));
        expect(() => runFolder(workspace, text)).toThrow(UserError);
      }),
    );
  });
});

describe('a workspace', () => {
  it('is kept out of version control, and may be opened again', () => {
    const folder = temporaryFolder();
    const workspace = openWorkspace(folder);
    expect(readFileSync(join(workspace.peft, '.gitignore'), 'utf8')).toBe('*\n');
    writeFileSync(join(workspace.peft, '.gitignore'), 'runs\n');
    openWorkspace(folder);
    expect(readFileSync(join(workspace.peft, '.gitignore'), 'utf8')).toBe('runs\n');
  });

  it("that cannot be is the user's error", () => {
    const folder = temporaryFolder();
    expect(() => openWorkspace(join(folder, 'missing'))).toThrow(UserError);
    writeFileSync(join(folder, '.peft'), 'a file');
    expect(() => openWorkspace(folder)).toThrow(UserError);
  });
});

describe('a run', () => {
  it('is made whole: configuration, environment, waiting', () => {
    const workspace = temporaryWorkspace();
    const id = createRun(workspace, newRun({ seed: 3 }));
    const folder = runFolder(workspace, id);
    expect(readdirSync(folder).sort()).toEqual(['checkpoints', 'config.json', 'environment.json', 'marks.jsonl']);
    expect(readConfiguration(folder, installedCatalogue)).toEqual(someConfiguration({ seed: 3 }));
    expect(readRecordedConfiguration(folder).training.seed).toBe(3);
    expect(readEnvironment(folder)).toEqual(someEnvironment);
    expect(runState(folder).state).toBe('queued');
    expect(listRuns(workspace)).toEqual([id]);
    expect(readdirSync(workspace.runs)).toEqual([id]);
  });

  it('is never made over another', () => {
    const workspace = temporaryWorkspace();
    const id = createRun(workspace, newRun({ seed: 1 }));
    expect(() => createRun(workspace, { ...newRun({ seed: 2 }), id })).toThrow(/exists already/);
    expect(readRecordedConfiguration(runFolder(workspace, id)).training.seed).toBe(1);
    const empty = newRunId();
    mkdirSync(join(workspace.runs, empty));
    expect(() => createRun(workspace, { ...newRun(), id: empty })).toThrow(/exists already/);
    expect(readdirSync(workspace.runs).sort()).toEqual([id, empty].sort());
  });

  it('is found by its id, by either end of it, and as the latest', () => {
    const workspace = temporaryWorkspace();
    expect(() => findRun(workspace, 'latest')).toThrow(UserError);
    const ids = ['20260101-000000000-aaaaaa', '20260101-000000001-bbbbbb', '20260202-000000000-cccccc'];
    for (const id of ids) createRun(workspace, { ...newRun(), id });
    const [first = '', second = '', third = ''] = ids;
    expect(findRun(workspace, first)).toBe(first);
    expect(findRun(workspace, 'BBBBBB')).toBe(second);
    expect(findRun(workspace, '202602')).toBe(third);
    expect(findRun(workspace, 'latest')).toBe(third);
    expect(() => findRun(workspace, '202601')).toThrow(/could be 2 runs/);
    expect(() => findRun(workspace, 'bbbbbc')).toThrow(/Did you mean "bbbbbb"/);
    expect(() => findRun(workspace, '../..')).toThrow(/there is no run/);
  });

  it.each([
    ['config.json', '{ "model"', 'not JSON'],
    ['config.json', '{ "model": {} }', 'model.id'],
    ['config.json', undefined, 'there is no such file'],
  ])('with a damaged %s says so', (name, content, message) => {
    const folder = someRun(temporaryWorkspace());
    if (content === undefined) rmSync(join(folder, name));
    else writeFileSync(join(folder, name), content);
    expect(() => readRecordedConfiguration(folder)).toThrow(message);
    expect(() => readRecordedConfiguration(folder)).toThrow(FileError);
    expect(() => readConfiguration(folder, installedCatalogue)).toThrow(FileError);
  });

  it('of another version can still be read, as far as it goes', () => {
    const folder = someRun(temporaryWorkspace());
    const written = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
    const later = { ...written, method: { id: 'not-yet-invented', depth: 3 }, federation: { epsilon: 8 } };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(later));
    expect(readRecordedConfiguration(folder)).toMatchObject({ method: { id: 'not-yet-invented', depth: 3 } });
    expect(() => readConfiguration(folder, installedCatalogue)).toThrow(/federation: unknown key/);
  });
});

describe('the environment', () => {
  function git(folder: string, ...args: string[]): void {
    execFileSync('git', ['-C', folder, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { stdio: 'ignore' });
  }

  it('knows the commit and whether tracked files were changed', async () => {
    const folder = temporaryFolder();
    expect(await gitState(join(folder, 'missing'))).toBeNull();
    git(folder, 'init', '-b', 'work');
    expect(await gitState(folder)).toBeNull();
    writeFileSync(join(folder, 'a'), '1');
    git(folder, 'add', 'a');
    git(folder, 'commit', '-m', 'a');
    const clean = await gitState(folder);
    expect(clean).toMatchObject({ branch: 'work', dirty: false });
    expect(clean?.commit).toMatch(/^[0-9a-f]{40}$/);
    writeFileSync(join(folder, 'untracked'), '1');
    expect((await gitState(folder))?.dirty).toBe(false);
    writeFileSync(join(folder, 'a'), '2');
    expect((await gitState(folder))?.dirty).toBe(true);
    git(folder, 'checkout', '--detach');
    expect(await gitState(folder)).not.toHaveProperty('branch');
  });

  it("does not let a repository's settings start programs", async () => {
    const folder = temporaryFolder();
    git(folder, 'init');
    writeFileSync(join(folder, 'a'), '1');
    git(folder, 'add', 'a');
    git(folder, 'commit', '-m', 'a');
    writeFileSync(join(folder, 'monitor'), `#!/bin/sh\ntouch ${join(folder, 'ran')}\n`, { mode: 0o755 });
    git(folder, 'config', 'core.fsmonitor', join(folder, 'monitor'));
    await gitState(folder);
    expect(existsSync(join(folder, 'ran'))).toBe(false);
  });

  it('is gathered, written and read again without a variable of the process', async () => {
    const folder = someRun(temporaryWorkspace());
    const environment = await collectEnvironment({
      folder,
      version: '1.2.3',
      packages: { 'onnxruntime-node': '1.30.0' },
      origin: { file: '/a.peft.json', overrides: ['training.seed=1'], label: { 'training.seed': 1 } },
      model: { source: 'm', digest: 'sha256:00' },
      now: () => 0,
    });
    writeEnvironment(folder, environment);
    expect(readEnvironment(folder)).toEqual(environment);
    expect(environment).toMatchObject({ created: '1970-01-01T00:00:00.000Z', version: '1.2.3', git: null });
    expect(JSON.stringify(environment)).not.toContain('PATH');
  });
});

describe('a folder in the place of a file', () => {
  it('is named by whoever reads it', () => {
    const file = join(temporaryFolder(), 'journal.jsonl');
    mkdirSync(file);
    const named = `EISDIR: illegal operation on a directory, read '${file}'`;
    expect(() => readIfThere(file)).toThrow(named);
    expect(() => openIfThere(file)).toThrow(named);
  });
});
