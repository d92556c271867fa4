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
  bench: ['test/bench/main.ts'],
};
