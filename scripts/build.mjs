// Usage: npm run build
// Each program of dist/ is one file that loads no other of this project while it runs, so a run in progress survives a
// newer build or an update of the extension laid over it.
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Output in dist/, without its ending, and the source that it is made from. */
const entries = {
  cli: 'src/cli/main.ts',
  trainer: 'src/runs/trainer-process.ts',
  'store-worker': 'src/store/worker.ts',
};

rmSync(join(root, 'dist'), { recursive: true, force: true });
try {
  await build({
    absWorkingDir: root,
    entryPoints: entries,
    outdir: 'dist',
    bundle: true,
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
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'info',
  });
} catch {
  process.exitCode = 1; // esbuild has printed what is wrong and where.
}
