import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/{unit,parity,integration}/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    // Tests start processes, change folders and load native modules: each file has a process of its own.
    pool: 'forks',
    // The tests' own work runs on several threads, so more workers than this only contend.
    maxWorkers: 2,
    testTimeout: 400_000,
    hookTimeout: 400_000,
  },
});
