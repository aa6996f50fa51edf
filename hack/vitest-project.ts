import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Invocation, runInvocation } from '../test/support/sandbox.ts';
import type { TestCounts } from './vitest-reporter.ts';

const root = new URL('../', import.meta.url).pathname;
export const nothing: TestCounts = { passed: 0, failed: 0, skipped: 0 };
export const oneFailure: TestCounts = { passed: 0, failed: 1, skipped: 0 };

/** Runs the tests of one project of vitest.config.ts. `filters` are words and options of `vitest run`. */
export async function runVitestProject(
  project: string,
  filters: readonly string[],
  wrapped: (vitest: Invocation) => Promise<Invocation> = async (vitest) => vitest,
): Promise<TestCounts> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-test-'));
  const countsFile = join(folder, 'counts.json');
  try {
    const invocation = await wrapped(vitestInvocation(project, filters));
    const exitCode = await runInvocation(invocation, { WEIR_TEST_COUNTS: countsFile });
    const counts = await readCounts(countsFile);
    // No counts: either no file matched, which is success, or vitest broke before it ran anything.
    if (counts === undefined) return exitCode === 0 ? nothing : oneFailure;
    return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function vitestInvocation(project: string, filters: readonly string[]): Invocation {
  const reporters = ['--reporter=default', `--reporter=${join(root, 'hack/vitest-reporter.ts')}`];
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  return {
    file: process.execPath,
    args: [
      vitest,
      'run',
      '--root',
      root,
      '--project',
      project,
      '--passWithNoTests',
      ...reporters,
      ...filters,
    ],
  };
}

async function readCounts(path: string): Promise<TestCounts | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as TestCounts;
  } catch {
    return undefined;
  }
}
