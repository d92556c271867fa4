// Usage: npm run build
// Each program of dist/ is one file that loads no other of this project while it runs, so a run in progress survives a
// newer build or an update of the extension laid over it.
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { editorSchema } from '../src/editor/core/editor-schema.ts';
import { installedCatalogue } from '../src/runs/catalogue.ts';

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
      'editor-worker': 'src/editor/worker/worker.ts',
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
    // The extension: VS Code loads it as CommonJS and gives it its API. What it imports when it is needed stays unevaluated till then.
    entryPoints: { extension: 'src/extension.ts' },
    platform: 'node',
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    target: 'node22',
    external: ['vscode'],
    mainFields: ['module', 'main'],
    define: { 'import.meta.url': 'bundleUrl' },
    banner: {
      js: "const bundleBegun = performance.now(), bundleUrl = require('node:url').pathToFileURL(__filename).href;",
    },
    minifySyntax: true,
    minifyWhitespace: true,
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
  // What the manifest's jsonValidation points to: made from the schema that the runtime checks by.
  const schema = editorSchema(installedCatalogue);
  writeFileSync(join(root, 'dist', 'configuration.schema.json'), `${JSON.stringify(schema)}\n`);
} catch {
  process.exitCode = 1; // esbuild has printed what is wrong and where.
}
