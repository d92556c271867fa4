// Usage: npm test [-- VITEST ARGUMENT...]
// Type check, lint, format check, build and tests, one after another: vitest, the store's tests again on the oldest Node
// that an editor brings, and the suites in a real VS Code. All of them run, whatever an earlier one says, and the closing
// line counts the tests of all; a step or a test file that failed as a whole counts as one failure. A suite that can't run
// on this machine says so and what would help. With arguments for vitest nothing but vitest's tests run after the build.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commands } from './commands.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The exit code of a suite that can't run on this machine. */
const unavailable = 77;

/**
 * @param {string} name
 * @param {readonly string[]} args
 * @returns {number} its exit code
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
  const outcome = status === 0 ? 'ok' : status === unavailable ? 'NOT RUN' : 'FAILED';
  process.stdout.write(`== ${name}: ${outcome} (${seconds} s)\n`);
  return status ?? 1;
}

/**
 * Runs tests that leave vitest's report.
 *
 * @typedef {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
 *   testResults: readonly { status: string, assertionResults: readonly { status: string }[] }[] }} Report
 *
 * @param {string} name of the script
 * @param {readonly string[]} args
 * @returns {{ name: string, passed: number, failed: number, skipped: number, run: boolean }}
 */
function tests(name, args) {
  const folder = mkdtempSync(join(tmpdir(), 'peft-lab-test-'));
  const file = join(folder, 'report.json');
  try {
    const code = step(name, ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...args]);
    if (code === unavailable) return { name, passed: 0, failed: 0, skipped: 0, run: false };
    /** @type {Report} */
    let report;
    try {
      report = JSON.parse(readFileSync(file, 'utf8'));
    } catch {
      process.stdout.write(`${name} left no report\n`);
      return { name, passed: 0, failed: 1, skipped: 0, run: true };
    }
    // A file that could not be loaded holds no tests, so vitest counts none as failed.
    const broken = report.testResults.filter(
      (suite) => suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed'),
    ).length;
    const failed = report.numFailedTests + broken;
    return {
      name,
      passed: report.numPassedTests,
      failed: code === 0 ? failed : Math.max(failed, 1),
      skipped: report.numPendingTests + report.numTodoTests,
      run: true,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const args = process.argv.slice(2);
const failedSteps = ['typecheck', 'lint', 'format:check', 'build'].filter((name) => step(name) !== 0);
if (args.length === 0) step('test:programs');
const suites = [tests('vitest', args)];
if (args.length === 0) for (const name of ['test:node22', 'test:extension', 'test:e2e']) suites.push(tests(name, []));

process.stdout.write('\n');
if (failedSteps.length > 0) process.stdout.write(`failed before the tests: ${failedSteps.join(', ')}\n`);
for (const { name, passed, failed, run } of suites)
  process.stdout.write(
    run
      ? `${name}: ${passed} of ${passed + failed} tests passed\n`
      : `${name}: NOT RUN on this machine; why stands above\n`,
  );
/** @param {'passed' | 'failed' | 'skipped'} what */
const sum = (what) => suites.reduce((total, suite) => total + suite[what], 0);
const failures = sum('failed') + failedSteps.length;
const skipped = sum('skipped');
process.stdout.write(`\n${sum('passed')} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exitCode = failures > 0 ? 1 : 0;
