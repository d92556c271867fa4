import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..', '..');

/** Where the bundled suite lies. Below the project, so that it finds the mocha that runs it. */
export const suiteFolder = join(root, '.cache', 'extension-tests');

/**
 * Bundles each test file of this folder for an extension host, whose Node may not read TypeScript.
 * @returns the files made
 */
export async function buildSuite(): Promise<readonly string[]> {
  const sources = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts'))
    .sort();
  rmSync(suiteFolder, { recursive: true, force: true });
  await build({
    absWorkingDir: root,
    entryPoints: sources.map((name) => join(import.meta.dirname, name)),
    outdir: suiteFolder,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
    external: ['vscode', 'mocha'],
    mainFields: ['module', 'main'],
    sourcemap: 'inline',
    logLevel: 'error',
  });
  return sources.map((name) => join(suiteFolder, name.replace(/\.ts$/, '.cjs')));
}
