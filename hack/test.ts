import { execFileSync } from 'node:child_process';
import { requiredCapabilities } from '../test/support/capability-names.ts';
import { imageVariable } from '../test/support/image-root.ts';
import { choiceVariable } from '../test/support/rotating.ts';
import { findSandbox, type Invocation, sandboxed } from '../test/support/sandbox.ts';
import { build } from './build.ts';
import { cachedImage, whyNoImage } from './image/cached-image.ts';
import { nothing, oneFailure, runVitestProject } from './vitest-project.ts';
import type { TestCounts } from './vitest-reporter.ts';

const usage = `npm test [-- WORDS AND OPTIONS]

Runs the unit tests here and the tests with real packets in network namespaces of their own. Of the longest tests some cases run (one
back end of two …), which the commit chooses; with WORDS, and with npm run test:all, all of them.
  npm test -- conformance        only the conformance tests
  npm test -- test/netns/world   only files whose path contains this
  npm test -- -t 'hairpin'       only tests whose name contains this (any option of vitest run)
WEIR_REQUIRE=all (or a list: root,netns,ipset …) makes the run fail where tests would be skipped.`;

const imageTest = 'test/netns/image.test.ts';

async function main(filters: readonly string[]): Promise<number> {
  const counts = [
    await countBuild(),
    await runVitestProject('unit', filters),
    await countImage(filters),
    await runVitestProject('netns', filters, inSandbox),
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

/** Where namespaces cannot be had the tests are started all the same: they skip themselves, or fail if they are required. */
async function inSandbox(invocation: Invocation): Promise<Invocation> {
  const sandbox = await findSandbox();
  if (sandbox.kind !== 'none') return sandboxed(sandbox, invocation);
  console.error(`Tests in network namespaces cannot run here: ${sandbox.reason}`);
  return invocation;
}

/** Decides what is chosen: another commit, another choice. */
function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'not a clone';
  }
}

const words = process.argv.slice(2).filter((word) => word !== '--');
if (words.length === 0) process.env[choiceVariable] ??= commit();
const filters = words.filter((word) => word !== '--all');
if (words.includes('--help') || words.includes('-h')) console.log(usage);
else process.exitCode = await main(filters);
