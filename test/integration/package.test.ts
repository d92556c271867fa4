import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromBufferPromise } from 'yauzl';
import { ownTarget, packageExtension, targets } from '../../scripts/package.ts';

const root = join(import.meta.dirname, '..', '..');

/** What an executable file is for, by its first bytes. */
function platformOf(bytes: Buffer): string {
  if (bytes.toString('latin1', 0, 4) === '\x7fELF')
    return `linux-${{ 0x3e: 'x64', 0xb7: 'arm64' }[bytes.readUInt16LE(18)] ?? 'other'}`;
  if (bytes.toString('latin1', 0, 2) === 'MZ') {
    const header = bytes.readUInt32LE(0x3c);
    return `win32-${{ 0x8664: 'x64', 0xaa64: 'arm64' }[bytes.readUInt16LE(header + 4)] ?? 'other'}`;
  }
  if (bytes.readUInt32LE(0) === 0xfeedfacf)
    return `darwin-${{ 0x1000007: 'x64', 0x100000c: 'arm64' }[bytes.readUInt32LE(4)] ?? 'other'}`;
  return 'none';
}

type Json = null | string | number | boolean | readonly Json[] | { readonly [key: string]: Json };

/** Every text in the manifest that names a file of the package. */
function filesNamed(value: Json, key = ''): readonly string[] {
  // `$(name)` is an icon of the editor's own.
  if (typeof value === 'string' && value.startsWith('$(')) return [];
  if (typeof value === 'string')
    return value.startsWith('./') || ['main', 'icon', 'markdown', 'svg', 'image'].includes(key)
      ? [value.replace(/^\.\//, '')]
      : [];
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, inner]) => filesNamed(inner, Array.isArray(value) ? key : name));
}

describe.each(Object.keys(targets))('the package for %s', (target) => {
  let folder: string;
  let size: number;
  const files = new Map<string, Buffer>();
  const told: string[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'peft-package-'));
    if (!existsSync(join(root, 'dist', 'extension.cjs')))
      expect(spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')]).status).toBe(0);
    const listen = (...words: readonly unknown[]): void => void told.push(words.join(' '));
    const ears = (['log', 'warn', 'error'] as const).map((level) =>
      vi.spyOn(console, level).mockImplementation(listen),
    );
    const file = await packageExtension(target, folder);
    for (const ear of ears) ear.mockRestore();
    ({ size } = statSync(file));
    const archive = await fromBufferPromise(readFileSync(file));
    for await (const entry of archive.eachEntry()) {
      const chunks: Buffer[] = [];
      for await (const chunk of await archive.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
      files.set(entry.fileName, Buffer.concat(chunks));
    }
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const text = (name: string): string => {
    const content = files.get(name);
    if (content === undefined) throw new Error(`${name} is not in the package`);
    return content.toString('utf8');
  };

  it('says which platform it is for', () => {
    expect(text('extension.vsixmanifest')).toContain(`TargetPlatform="${target}"`);
  });

  it('holds the libraries of that platform and of no other', () => {
    const platforms = new Map(
      [...files].map(([name, content]) => [name, content.length < 64 ? 'none' : platformOf(content)]),
    );
    const native = [...platforms].filter(([, platform]) => platform !== 'none');
    expect(native.filter(([, platform]) => platform !== target)).toEqual([]);
    expect(native.map(([name]) => name.split('/').at(-1))).toContain('onnxruntime_binding.node');
    expect(native.length).toBeGreaterThan(1);
  });

  it('holds no sources, tests, maps or development tools', () => {
    const names = [...files.keys()];
    expect(names.filter((name) => /\.(?:ts|mts|cts|map|tsbuildinfo|vsix|onnx|log)$/.test(name))).toEqual([]);
    const places = new Set(
      names
        .map((name) => name.replace(/^extension\//, ''))
        .map((name) => (name.includes('/') ? name.split('/')[0] : '')),
    );
    expect([...places].sort()).toEqual(expect.arrayContaining(['', 'dist', 'media', 'samples']));
    expect(
      [...places].filter((place) => !['', 'dist', 'media', 'l10n', 'samples', 'models'].includes(place ?? '')),
    ).toEqual([]);
    const modules = names.flatMap((name) => /node_modules\/([^/]+)/.exec(name)?.[1] ?? []);
    expect([...new Set(modules)].sort()).toEqual(['onnxruntime-common', 'onnxruntime-node']);
  });

  it('has every file that its manifest names', () => {
    const manifest = JSON.parse(text('extension/package.json')) as Record<string, Json>;
    const named = filesNamed(manifest);
    expect(named.length).toBeGreaterThan(3);
    const isThere = (name: string): boolean =>
      [...files.keys()].some((file) => `${file}/`.startsWith(`extension/${name}/`));
    expect(named.filter((name) => !isThere(name))).toEqual([]);
    expect(Object.keys(manifest)).not.toContain('devDependencies');
  });

  it('has what a marketplace asks for', () => {
    const manifest = JSON.parse(text('extension/package.json')) as Record<string, Json>;
    for (const key of [
      'publisher',
      'displayName',
      'description',
      'categories',
      'keywords',
      'icon',
      'engines',
      'license',
    ])
      expect(manifest, key).toHaveProperty(key);
    const readme = text('extension/readme.md');
    expect(readme).toMatch(/!\[[^\]]+\]\((?:https:|data:image\/png;base64,)/);
    // A relative link or picture leads nowhere outside the repository.
    expect(readme.match(/\]\((?!https:|mailto:|data:|#)[^)]{1,200}\)/g) ?? []).toEqual([]);
    expect(text('extension/changelog.md')).toContain('# Changelog');
    expect(text('extension/LICENSE.txt')).toContain('Apache License');
  });

  it('is made without a warning', () => {
    expect(told.filter((line) => /warn|error/i.test(line))).toEqual([]);
    expect(told.join('\n')).toContain('Packaged');
  });

  it.runIf(target === ownTarget())('holds a program that runs by itself and knows its runtime', () => {
    const place = join(folder, 'unpacked');
    for (const [name, content] of files) {
      if (!name.startsWith('extension/') || name.endsWith('/')) continue;
      mkdirSync(dirname(join(place, name)), { recursive: true });
      writeFileSync(join(place, name), content);
    }
    const program = join(place, 'extension', 'dist', 'cli.js');
    const { stdout } = spawnSync(process.execPath, [program, '--folder', folder, 'doctor', '--json'], {
      encoding: 'utf8',
    });
    const { checks } = JSON.parse(stdout) as { checks: readonly { name: string; level: string; message: string }[] };
    const version = (
      JSON.parse(text('extension/dist/node_modules/onnxruntime-node/package.json')) as { version: string }
    ).version;
    expect(checks.find(({ name }) => name === 'onnxruntime')).toMatchObject({
      level: 'ok',
      message: expect.stringMatching(`^${version.replaceAll('.', '\\.')}, providers: cpu`) as string,
    });
    expect(checks.find(({ name }) => name === 'computation')?.level).toBe('ok');
  });

  it('says whose code it holds, and under which licences', () => {
    const notices = text('extension/dist/third-party-notices.txt');
    for (const name of ['zod', 'lit', 'uplot', 'onnxruntime-node', '@vscode-elements/elements'])
      expect(notices).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\((?:MIT|BSD-3-Clause|Apache-2.0)\\)`, 'm'));
  });

  it.runIf(target === 'linux-x64')('is below 40 MB', () => {
    expect(size).toBeLessThan(40e6);
  });
});
