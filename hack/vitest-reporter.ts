import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule, TestSuite } from 'vitest/node';

/** How a run of one vitest project ended, as `hack/test.ts` reads it. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Writes the counts of a run as JSON to the file that the environment variable `WEIR_TEST_COUNTS` names. What keeps
 * tests from running (a file that does not load, a hook that throws, an error nobody caught) counts as a failure.
 */
export default class CountingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const path = process.env['WEIR_TEST_COUNTS'];
    if (path === undefined) return;
    writeFileSync(path, JSON.stringify(countTests(modules, unhandledErrors.length)));
  }
}

function countTests(modules: readonly TestModule[], unhandledErrors: number): TestCounts {
  let passed = 0;
  let failed = unhandledErrors;
  let skipped = 0;
  for (const module of modules) {
    failed += errorsOutsideTests(module);
    for (const test of module.children.allTests()) {
      switch (test.result().state) {
        case 'passed':
          passed += 1;
          break;
        case 'failed':
          failed += 1;
          break;
        // A test that never ran although its file was chosen: its hook failed (counted above), or the run was cut short.
        case 'pending':
        case 'skipped':
          skipped += 1;
          break;
      }
    }
  }
  return { passed, failed, skipped };
}

function errorsOutsideTests(module: TestModule): number {
  const suites: (TestModule | TestSuite)[] = [module, ...module.children.allSuites()];
  return suites.filter((suite) => suite.errors().length > 0).length;
}
