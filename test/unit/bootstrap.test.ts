import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atLeast, findNode } from '../../bin/find-node.mjs';
import { commands } from '../../scripts/commands.mjs';
import { alone, whyStale } from '../../scripts/installed.mjs';

const root = join(import.meta.dirname, '..', '..');

function write(path: string, content: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(content));
}

describe('what the bootstrap takes for installed', () => {
  let folder: string;
  const present = {
    'node_modules/one': { version: '1.0.0', integrity: 'sha512-one' },
    'node_modules/one/node_modules/two': { version: '2.1.0', integrity: 'sha512-two' },
  };
  const locked = {
    '': { name: 'project' },
    ...present,
    'node_modules/elsewhere': { version: '3.0.0', integrity: 'sha512-three', optional: true },
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'peft-lab-installed-'));
    write(join(folder, 'package-lock.json'), { packages: locked });
    write(join(folder, 'node_modules', '.package-lock.json'), { packages: present });
    for (const [path, { version }] of Object.entries(present)) write(join(folder, path, 'package.json'), { version });
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('a complete node_modules is, without the optional packages of other platforms', () => {
    expect(whyStale(folder)).toBeUndefined();
  });

  it('a missing one is not', () => {
    rmSync(join(folder, 'node_modules'), { recursive: true });
    expect(whyStale(folder)).toBe('node_modules is missing');
  });

  it('one whose install was cut short is not', () => {
    rmSync(join(folder, 'node_modules', '.package-lock.json'));
    expect(whyStale(folder)).toBe('the last install did not end');
  });

  it.each([
    ['version', { version: '1.0.1', integrity: 'sha512-one' }],
    ['content', { version: '1.0.0', integrity: 'sha512-other' }],
  ])('one with another %s than the lock file asks for is not', (_, wanted) => {
    write(join(folder, 'package-lock.json'), { packages: { ...locked, 'node_modules/one': wanted } });
    expect(whyStale(folder)).toBe('node_modules/one is out of date');
  });

  it('one that lacks a package is not', () => {
    write(join(folder, 'package-lock.json'), { packages: { ...locked, 'node_modules/new': { version: '1.0.0' } } });
    expect(whyStale(folder)).toBe('node_modules/new is out of date');
  });

  it('one that lost a file of a package is not', () => {
    rmSync(join(folder, 'node_modules', 'one', 'node_modules'), { recursive: true });
    expect(whyStale(folder)).toBe('node_modules/one/node_modules/two is damaged');
  });

  it('this checkout is', () => {
    expect(whyStale(root)).toBeUndefined();
  });
});

describe('one install at a time', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'peft-lab-alone-'));
    mkdirSync(join(folder, '.cache'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it.each([
    ['one that ended', spawnSync(process.execPath, ['-e', '']).pid],
    ['one of another container, which had the number of this process', process.pid],
  ])('takes the lock of %s', (_, holder) => {
    const lock = join(folder, '.cache', 'install.lock');
    writeFileSync(lock, String(holder));
    let seen = '';
    alone(folder, () => {
      seen = readFileSync(lock, 'utf8');
    });
    expect(seen).toBe(String(process.pid));
    expect(existsSync(lock)).toBe(false);
  });
});

describe('which Node is found', () => {
  it('compares versions by number, not by text', () => {
    expect(atLeast('24.0.0', [24, 0])).toBe(true);
    expect(atLeast('22.9.0', [22, 13])).toBe(false);
    expect(atLeast('22.13.0', [22, 9])).toBe(true);
    expect(atLeast('100.0.0', [24, 0])).toBe(true);
    expect(atLeast('20.20.2', [24, 0])).toBe(false);
  });

  it('is the running one where it is new enough, and none beyond all versions', () => {
    expect(findNode([20, 0])?.path).toBe(process.execPath);
    expect(findNode([1000, 0])).toBeUndefined();
  });
});

describe('a program in the foreground', () => {
  const become = (program: string): string =>
    `import { become } from ${JSON.stringify(new URL('../../bin/find-node.mjs', import.meta.url).href)};` +
    `await become(process.execPath, ['-e', ${JSON.stringify(program)}]);`;

  async function run(program: string, signal?: NodeJS.Signals): Promise<readonly unknown[]> {
    const child = spawn(process.execPath, ['--input-type=module', '-e', become(program)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (signal !== undefined) child.stdout.once('data', () => child.kill(signal));
    return (await once(child, 'exit')) as unknown[];
  }
  const waiting = 'console.log("ready"); setTimeout(() => {}, 60_000);';

  it('passes its exit code on', async () => {
    expect(await run('process.exit(7)')).toEqual([7, null]);
    expect(await run('')).toEqual([0, null]);
  });

  // Windows has no signals to pass on.
  it.runIf(process.platform !== 'win32')('hears signals and passes its end by one on', async () => {
    expect(await run(`process.on('SIGTERM', () => process.exit(6)); ${waiting}`, 'SIGTERM')).toEqual([6, null]);
    expect(await run(waiting, 'SIGTERM')).toEqual([null, 'SIGTERM']);
  });
});

it('npm start says what it takes when it is given something else', () => {
  for (const wrong of [['--bad'], ['--model'], ['stray']]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'start.ts'), ...wrong], {
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^peft-lab: .*\n {2}Usage: npm start/s);
    expect(stderr).not.toMatch(/^\s+at /m);
  }
});

it('every npm script goes through the bootstrap', async () => {
  const { default: manifest } = await import('../../package.json', { with: { type: 'json' } });
  for (const [name, line] of Object.entries(manifest.scripts)) {
    expect(line).toBe(`node scripts/bootstrap.mjs ${name}`);
    expect(Object.keys(commands)).toContain(name);
  }
});
