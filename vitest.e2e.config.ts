import { defineConfig } from 'vitest/config';

/** Tests in a real VS Code: one server and one browser at a time. */
export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    pool: 'forks',
    fileParallelism: false,
    // A person's steps follow one another: after one failed, the next mean nothing.
    bail: 1,
    testTimeout: 400_000,
    hookTimeout: 300_000,
  },
});
