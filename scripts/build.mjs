// Usage: npm run build [-- --quiet]
// Each program of dist/ is one file that loads no other of this project while it runs, so a run in progress survives a
// newer build or an update of the extension laid over it.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { editorSchema } from '../src/editor/core/editor-schema.ts';
import { budgetJsonSchema } from '../src/runs/budget-file.ts';
import { installedCatalogue } from '../src/runs/catalogue.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @type {import('esbuild').BuildOptions} */
const common = {
  absWorkingDir: root,
  bundle: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: process.argv.includes('--quiet') ? 'warning' : 'info',
};

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
      'device-probe': 'src/engine/device-probe.ts',
      'tfjs-probe': 'src/engine/tfjs-probe.ts',
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
      'webviews/plan': 'src/webviews/plan/main.ts',
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

/**
 * The names, versions and licences of the packages whose code is in the bundles, and of the runtime beside them.
 *
 * @param {readonly import('esbuild').Metafile[]} metafiles
 * @returns {string}
 */
function thirdPartyNotices(metafiles) {
  const inputs = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
  const bundled = inputs.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  const folders = new Set([...bundled, 'node_modules/onnxruntime-node', 'node_modules/onnxruntime-common']);
  return [...folders]
    .sort()
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
      const file = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e(?:\.(?:md|txt))?$/i.test(entry));
      const text = file === undefined ? '' : `\n\n${readFileSync(join(root, folder, file), 'utf8').trim()}`;
      return `${name} ${version} (${license})${text}\n`;
    })
    .join(`\n${'-'.repeat(80)}\n\n`);
}

rmSync(join(root, 'dist'), { recursive: true, force: true });
try {
  const results = await Promise.all(
    groups.map((group) => build({ ...common, metafile: true, outdir: 'dist', ...group })),
  );
  writeFileSync(
    join(root, 'dist', 'third-party-notices.txt'),
    thirdPartyNotices(results.flatMap(({ metafile }) => metafile ?? [])),
  );
  // What the manifest's jsonValidation points to: made from the schema that the runtime checks by.
  const schema = editorSchema(installedCatalogue);
  writeFileSync(join(root, 'dist', 'configuration.schema.json'), `${JSON.stringify(schema)}\n`);
  writeFileSync(join(root, 'dist', 'privacy-budget.schema.json'), `${JSON.stringify(budgetJsonSchema())}\n`);
} catch (error) {
  // esbuild has printed what is wrong and where.
  if (!(error instanceof Error && 'errors' in error)) throw error;
  process.exitCode = 1;
}
