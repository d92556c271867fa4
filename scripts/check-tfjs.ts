// Usage: node scripts/check-tfjs.ts [FOLDER]
// Holds the tfjs backend to its tests on the TensorFlow.js that is installed in FOLDER (or beside this checkout), where
// `npm test` has plain JavaScript only: every operation, every method, the memory, and a run from the command line.
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../src/base/errors.ts';
import { describeLibrary, findTfjs } from '../src/engine/backends/tfjs/library.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tests = [
  'test/unit/engine/backends/operations.test.ts',
  'test/unit/engine/backends/random-graphs.test.ts',
  'test/unit/engine/backends/backend.test.ts',
  'test/unit/engine/backends/tfjs.test.ts',
  'test/parity/two-engines.test.ts',
  'test/integration/cli/tfjs.test.ts',
];

async function check(folder: string | undefined): Promise<number> {
  if (folder !== undefined) process.env['PEFT_TFJS'] = resolve(folder);
  const library = await findTfjs();
  process.stdout.write(`${describeLibrary(library)}, in ${library.folder}\n`);
  if (library.backend === 'cpu') {
    throw new UserError(
      'only plain JavaScript was found, which npm test checks',
      'Install @tensorflow/tfjs-node or @tensorflow/tfjs-node-gpu in a folder, and name it: node scripts/check-tfjs.ts FOLDER',
    );
  }
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  return spawnSync(process.execPath, [vitest, 'run', ...tests], { cwd: root, stdio: 'inherit' }).status ?? 1;
}

try {
  process.exitCode = await check(process.argv[2]);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
