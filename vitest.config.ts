import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts', 'test/parity/**/*.test.ts', 'test/integration/**/*.test.ts'],
    testTimeout: 120_000,
    maxWorkers: 2,
    pool: 'forks',
  },
});
