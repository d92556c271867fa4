// Usage: npm run test:extension [-- --outputFile.json=FILE]
// The suite of this folder inside the extension host of VS Code's own server, in the way @vscode/test-electron runs it.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { parseArgs } from 'node:util';
import { findChromium, Unavailable, unavailableExitCode } from '../../scripts/vscode/programs.ts';
import { startServer } from '../../scripts/vscode/server.ts';
import { makeEditorWorkspace } from '../support/editor-workspace.ts';
import { openWindow } from '../support/workbench.ts';
import { buildSuite } from './build.ts';
import { mochaOptions } from './options.mjs';

const root = join(import.meta.dirname, '..', '..');
const runner = join(dirname(createRequire(import.meta.url).resolve('@vscode/test-cli')), 'runner.cjs');

/** What mocha's JSON reporter writes. */
const mochaReport = z.object({
  tests: z.array(
    z.object({
      fullTitle: z.string(),
      duration: z.number().optional(),
      err: z.object({ stack: z.string().optional() }),
    }),
  ),
  pending: z.array(z.object({ fullTitle: z.string() })),
});

async function run(): Promise<{ readonly passed: number; readonly failed: number; readonly skipped: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'peft-extension-test-'));
  const workspace = await makeEditorWorkspace();
  const report = join(directory, 'mocha.json');
  const files = await buildSuite();
  const server = await startServer({
    directory,
    testDriver: true,
    environment: {
      VSCODE_TEST_OPTIONS: JSON.stringify({
        mochaOpts: { ...mochaOptions, reporter: 'json', reporterOption: { output: report } },
        colorDefault: false,
        preload: [],
        files,
      }),
    },
  });
  try {
    const printed: string[] = [];
    let ended: number | undefined;
    const window = await openWindow({
      url: server.url,
      folder: workspace.folder,
      payload: [
        ['extensionDevelopmentPath', server.uri(root)],
        ['extensionTestsPath', server.uri(runner)],
        ['skipWelcome', 'true'],
        ['skipReleaseNotes', 'true'],
      ],
      expose: {
        codeAutomationLog: (...line: never[]) => void printed.push(JSON.stringify(line)),
        codeAutomationExit: (code: number) => {
          ended = code;
        },
      },
    });
    for (const end = Date.now() + 10 * 60_000; ended === undefined && Date.now() < end;) await delay(100);
    await window.close();
    if (!existsSync(report)) {
      process.stdout.write(`${printed.join('\n')}\n${window.lines.join('\n')}\n`);
      process.stdout.write('the suite left no report; what the extension host printed stands above\n');
      return { passed: 0, failed: 1, skipped: 0 };
    }
    const { tests, pending } = mochaReport.parse(JSON.parse(readFileSync(report, 'utf8')));
    const skipped = new Set(pending.map(({ fullTitle }) => fullTitle));
    for (const { fullTitle, duration, err } of tests) {
      const mark = skipped.has(fullTitle) ? '-' : err.stack === undefined ? '✓' : '✗';
      process.stdout.write(` ${mark} ${fullTitle}${duration === undefined ? '' : ` ${duration}ms`}\n`);
      if (err.stack !== undefined) process.stdout.write(`${err.stack}\n`);
    }
    const failed = tests.filter(({ err }) => err.stack !== undefined).length;
    // A hook that failed may leave every test unrun.
    const broken = failed === 0 && (ended !== 0 || tests.length === 0) ? 1 : 0;
    if (broken > 0) process.stdout.write(`${printed.join('\n')}\nthe suite ended with ${ended ?? 'no'} code\n`);
    return { passed: tests.length - failed - skipped.size, failed: failed + broken, skipped: skipped.size };
  } finally {
    await server.stop();
    await workspace.remove();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

// Other options are vitest's.
const { values } = parseArgs({ options: { 'outputFile.json': { type: 'string' } }, strict: false });
const reportFile = values['outputFile.json'];
try {
  await findChromium();
  const { passed, failed, skipped } = await run();
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  if (typeof reportFile === 'string')
    writeFileSync(
      reportFile,
      JSON.stringify({
        numPassedTests: passed,
        numFailedTests: failed,
        numPendingTests: skipped,
        numTodoTests: 0,
        testResults: [],
      }),
    );
  process.exitCode = failed > 0 ? 1 : 0;
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  process.stdout.write(`not run: ${error.message}\n`);
  process.exitCode = unavailableExitCode;
}
