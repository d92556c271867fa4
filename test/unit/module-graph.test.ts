import { build } from 'esbuild';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { pureFiles } from '../../scripts/layers.mjs';

const root = join(import.meta.dirname, '..', '..');

interface Module {
  readonly files: readonly string[];
  readonly packages: readonly string[];
}

/** What every file of src/ imports while it runs: esbuild drops the imports of types, as Node does. */
async function moduleGraph(): Promise<ReadonlyMap<string, Module>> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: globSync('src/**/*.ts', { cwd: root }),
    outdir: 'unused',
    write: false,
    metafile: true,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
  });
  return new Map(
    Object.entries(metafile.inputs).map(([file, { imports }]) => [
      file,
      {
        files: imports.filter(({ external }) => external !== true).map(({ path }) => path),
        packages: imports.filter(({ external }) => external === true).map(({ path }) => path),
      },
    ]),
  );
}

const graph = await moduleGraph();

/** The shortest chain of imports from a file to one that `found` accepts. */
function chain(start: string, found: (file: string, module: Module) => boolean): readonly string[] | undefined {
  const seen = new Set<string>();
  const waiting: (readonly string[])[] = [[start]];
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    const file = path.at(-1) ?? start;
    for (const next of graph.get(file)?.files ?? []) {
      const longer = [...path, next];
      const module = graph.get(next);
      if (module !== undefined && found(next, module)) return longer;
      if (!seen.has(next)) waiting.push(longer);
      seen.add(next);
    }
  }
  return undefined;
}

it('sees the whole tree', () => {
  expect(graph.size).toBeGreaterThanOrEqual(globSync('src/**/*.ts', { cwd: root }).length);
});

it('no file imports itself by way of others', () => {
  const cycles = [...graph.keys()].flatMap((file) => chain(file, (next) => next === file)?.join(' → ') ?? []);
  expect(cycles).toEqual([]);
});

it("no pure file reaches a module of Node's or a native package by way of others", () => {
  const impure = ({ packages }: Module): boolean =>
    packages.some((name) => name.startsWith('node:') || name === 'vscode' || name === 'onnxruntime-node');
  const chains = globSync([...pureFiles], { cwd: root }).flatMap((file) => {
    const start = file.replaceAll('\\', '/');
    const own = graph.get(start);
    const path = own !== undefined && impure(own) ? [start] : chain(start, (_, module) => impure(module));
    return path?.join(' → ') ?? [];
  });
  expect(chains).toEqual([]);
});
