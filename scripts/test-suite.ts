// Usage: node scripts/test-suite.ts node22|e2e [VITEST ARGUMENT...]
// Suites that need more than the project's own dependencies, and install it: the store's tests on the Node of the oldest
// supported editor, and what a person does in a real VS Code.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { installServer, oldestNode } from './vscode/install.ts';
import { findChromium, Unavailable, unavailableExitCode } from './vscode/programs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const vitest = ['node_modules/vitest/vitest.mjs', 'run'];

async function start(suite: string | undefined): Promise<number> {
  let program = process.execPath;
  const args = [...vitest];
  const env = { ...process.env };
  if (suite === 'node22') {
    program = oldestNode();
    args.push('test/unit/store', 'test/integration/store');
    // The tests' worker threads and processes are TypeScript, which that Node reads when it is asked to.
    env['NODE_OPTIONS'] = '--experimental-strip-types --disable-warning=ExperimentalWarning';
  } else if (suite === 'e2e') {
    installServer();
    await findChromium();
    args.push('--config', 'vitest.e2e.config.ts');
  } else {
    throw new Error(`no such suite: ${suite ?? ''}`);
  }
  return spawnSync(program, [...args, ...process.argv.slice(3)], { cwd: root, env, stdio: 'inherit' }).status ?? 1;
}

try {
  process.exitCode = await start(process.argv[2]);
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  process.stdout.write(`not run: ${error.message}\n`);
  process.exitCode = unavailableExitCode;
}
