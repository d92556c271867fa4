// Usage: npm run build
// Each program of dist/ is one file that loads no other of this project while it runs, so a run in progress survives a
// newer build or an update of the extension laid over it.
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @type {import('esbuild').BuildOptions} */
const common = { absWorkingDir: root, bundle: true, sourcemap: true, sourcesContent: false, logLevel: 'info' };

/**
 * Each group of programs: `entryPoints` are outputs in dist/, without their endings, with the sources that they are made from.
 *
 * @type {readonly import('esbuild').BuildOptions[]}
 */
const groups = [
  {
    entryPoints: {
      cli: 'src/cli/main.ts',
      trainer: 'src/runs/trainer-process.ts',
      'store-worker': 'src/store/worker.ts',
    },
    platform: 'node',
    format: 'esm',
    target: 'node22',
    // A native module: its library lies beside its own files.
    external: ['onnxruntime-node'],
    // CommonJS packages in an ES module bundle ask for Node's own modules through `require`.
    banner: {
      js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
    },
    // jsonc-parser's `main` is a UMD file, whose calls of `require` no bundler can follow.
    mainFields: ['module', 'main'],
  },
  {
    // Pages of the editor and of reports: browser code that is loaded whole.
    entryPoints: {
      'webviews/run': 'src/webviews/run/main.ts',
      'webviews/comparison': 'src/webviews/compare/main.ts',
      'webviews/report': 'src/webviews/compare/report.ts',
    },
    platform: 'browser',
    format: 'iife',
    target: 'chrome134',
    minify: true,
    loader: { '.css': 'text' },
    // Without it Lit warns on every page that it was built for development.
    conditions: ['production'],
    // The page of a report is one file, and no map lies beside it.
    sourcemap: false,
  },
];

rmSync(join(root, 'dist'), { recursive: true, force: true });
try {
  await Promise.all(groups.map((group) => build({ ...common, outdir: 'dist', ...group })));
} catch {
  process.exitCode = 1; // esbuild has printed what is wrong and where.
}
