import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    coverage: {
      provider: 'v8',
      include: ['pkg/**/*.ts', 'controllers/**/*.ts'],
      exclude: ['**/*.test.ts'],
      reporter: ['text-summary', 'html'],
    },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['pkg/**/*.test.ts', 'controllers/**/*.test.ts', 'test/unit/**/*.test.ts'],
          // Against tests that hang; how fast the machine is must not matter.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          globalSetup: ['test/support/require-capabilities.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'own',
          include: ['test/e2e/own/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
          setupFiles: ['test/e2e/own/support/lab-of-this-file.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'differential',
          include: ['test/e2e/differential/**/*.test.ts'],
          pool: 'forks',
          hookTimeout: 120_000,
          globalSetup: ['test/support/require-capabilities.ts'],
        },
      },
    ],
  },
});
