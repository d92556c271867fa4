/**
 * What each npm script runs: a JavaScript or TypeScript file below the project's root, and its fixed arguments.
 *
 * @type {Readonly<Record<string, readonly [file: string, ...args: string[]]>>}
 */
export const commands = {
  start: ['scripts/start.ts'],
  test: ['scripts/test.mjs'],
  typecheck: ['scripts/typecheck.mjs'],
  lint: ['node_modules/eslint/bin/eslint.js', '--max-warnings=0', '.'],
  format: ['node_modules/prettier/bin/prettier.cjs', '--log-level=warn', '--write', '.'],
  'format:check': ['node_modules/prettier/bin/prettier.cjs', '--log-level=warn', '--check', '.'],
  build: ['scripts/build.mjs'],
  vitest: ['node_modules/vitest/vitest.mjs', 'run'],
  'test:programs': ['test/install-programs.ts'],
  package: ['scripts/package.ts'],
  'test:node22': ['scripts/test-suite.ts', 'node22'],
  'test:extension': ['test/extension/run-in-server.ts'],
  'test:e2e': ['scripts/test-suite.ts', 'e2e'],
  'test:electron': ['test/extension/run-in-electron.ts'],
  screenshots: ['test/e2e/screenshots.ts'],
  bench: ['test/bench/main.ts'],
};
