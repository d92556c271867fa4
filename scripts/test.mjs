// Usage: npm test [-- VITEST ARGUMENT...]
// Type check, lint, format check, build and tests, one after another. All of them run, whatever an earlier one says, and
// the closing line counts the tests of vitest's report; a step or a test file that failed as a whole counts as one failure.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commands } from './commands.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @param {string} name
 * @param {readonly string[]} args
 * @returns {boolean} whether it ended well
 */
function step(name, args = []) {
  const command = commands[name];
  if (command === undefined) throw new Error(`no such script: ${name}`);
  const [file, ...fixed] = command;
  process.stdout.write(`\n== ${name}\n`);
  const started = performance.now();
  const { status, error } = spawnSync(process.execPath, [join(root, file), ...fixed, ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (error !== undefined) process.stdout.write(`${error.message}\n`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`== ${name}: ${status === 0 ? 'ok' : 'FAILED'} (${seconds} s)\n`);
  return status === 0;
}

/**
 * @typedef {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
 *   testResults: readonly { status: string, assertionResults: readonly { status: string }[] }[] }} Report
 *
 * @param {readonly string[]} args
 * @returns {{ passed: number, failed: number, skipped: number }}
 */
function tests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'peft-lab-test-'));
  const file = join(folder, 'report.json');
  try {
    const ok = step('vitest', ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...args]);
    /** @type {Report} */
    let report;
    try {
      report = JSON.parse(readFileSync(file, 'utf8'));
    } catch {
      process.stdout.write('vitest left no report\n');
      return { passed: 0, failed: 1, skipped: 0 };
    }
    // A file that could not be loaded holds no tests, so vitest counts none as failed.
    const broken = report.testResults.filter(
      (suite) => suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed'),
    ).length;
    const failed = report.numFailedTests + broken;
    return {
      passed: report.numPassedTests,
      failed: ok ? failed : Math.max(failed, 1),
      skipped: report.numPendingTests + report.numTodoTests,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const failedSteps = ['typecheck', 'lint', 'format:check', 'build'].filter((name) => !step(name));
const { passed, failed, skipped } = tests(process.argv.slice(2));
if (failedSteps.length > 0) process.stdout.write(`\nfailed before the tests: ${failedSteps.join(', ')}\n`);
const failures = failed + failedSteps.length;
process.stdout.write(
  `\n${String(passed)} passed, ${String(failures)} failed${skipped > 0 ? `, ${String(skipped)} skipped` : ''}\n`,
);
process.exitCode = failures > 0 ? 1 : 0;
