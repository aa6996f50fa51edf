import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requiredCapabilities } from '../test/support/capability-names.ts';
import { imageVariable } from '../test/support/image-root.ts';
import { findSandbox, type Invocation, runInvocation, sandboxed } from '../test/support/sandbox.ts';
import { build } from './build.ts';
import { cachedImage, whyNoImage } from './image/cached-image.ts';
import type { TestCounts } from './vitest-reporter.ts';

const usage = `npm test [-- WORDS AND OPTIONS]

Runs the unit tests here and the tests with real packets in network namespaces of their own.
  npm test -- conformance        only the conformance tests
  npm test -- test/netns/world   only files whose path contains this
  npm test -- -t 'hairpin'       only tests whose name contains this (any option of vitest run)
WEIR_REQUIRE=all (or a list: root,netns,ipset …) makes the run fail where tests would be skipped.`;

const root = new URL('../', import.meta.url).pathname;
const imageTest = 'test/netns/image.test.ts';
const nothing: TestCounts = { passed: 0, failed: 0, skipped: 0 };
const oneFailure: TestCounts = { passed: 0, failed: 1, skipped: 0 };

async function main(filters: readonly string[]): Promise<number> {
  const counts = [
    await countBuild(),
    await runProject('unit', filters),
    await countImage(filters),
    await runProject('netns', filters),
  ];
  const passed = counts.reduce((sum, count) => sum + count.passed, 0);
  const skipped = counts.reduce((sum, count) => sum + count.skipped, 0);
  let failed = counts.reduce((sum, count) => sum + count.failed, 0);
  if (passed + failed + skipped === 0) {
    console.error(`No test matches: ${filters.join(' ')}`);
    failed = 1;
  }
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 ? 0 : 1;
}

/** Tests run the bundle that users run. A bundle that cannot be made is a failure, but no reason not to test the rest. */
async function countBuild(): Promise<TestCounts> {
  try {
    await build();
    return nothing;
  } catch {
    console.error('dist/weir.js could not be built.');
    return oneFailure;
  }
}

/** Tells the tests of the image where it is. It is built out here, because there is no network in the sandbox. */
async function countImage(filters: readonly string[]): Promise<TestCounts> {
  const isWanted = filters.length === 0 || filters.some((filter) => imageTest.includes(filter));
  if (!isWanted || process.env[imageVariable] !== undefined) return nothing;
  const why = await whyNoImage();
  if (why !== undefined) {
    console.error(`Tests of the image are skipped: ${why}`);
    return requiredCapabilities().has('root') ? oneFailure : nothing;
  }
  try {
    process.env[imageVariable] = await cachedImage((message) => console.error(message));
    return nothing;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return oneFailure;
  }
}

async function runProject(project: 'unit' | 'netns', filters: readonly string[]): Promise<TestCounts> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-test-'));
  const countsFile = join(folder, 'counts.json');
  try {
    const vitest = vitestInvocation(project, filters);
    const invocation = project === 'netns' ? await inSandbox(vitest) : vitest;
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

/** Where namespaces cannot be had the tests are started all the same: they skip themselves, or fail if they are required. */
async function inSandbox(invocation: Invocation): Promise<Invocation> {
  const sandbox = await findSandbox();
  if (sandbox.kind !== 'none') return sandboxed(sandbox, invocation);
  console.error(`Tests in network namespaces cannot run here: ${sandbox.reason}`);
  return invocation;
}

async function readCounts(path: string): Promise<TestCounts | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as TestCounts;
  } catch {
    return undefined;
  }
}

const words = process.argv.slice(2).filter((word) => word !== '--');
if (words.includes('--help') || words.includes('-h')) console.log(usage);
else process.exitCode = await main(words);
