import { build } from '../build.ts';
import { upstreamFolder } from '../upstream.ts';
import { runVitestProject } from '../vitest-project.ts';

/**
 * Runs the tests of `test/e2e/own`, those whose path contains one of the words; options are those of `vitest run`.
 * Each file has a lab of its own, so another one may run meanwhile. Says at the end how many passed.
 */
export async function runOwn(filters: readonly string[]): Promise<number> {
  // Once for all of them; the tests take what is there.
  await build();
  await upstreamFolder();
  const { passed, failed, skipped } = await runVitestProject('own', filters);
  const none = passed + failed + skipped === 0;
  if (none) console.error(`No test matches: ${filters.join(' ')}`);
  console.log(`${passed} passed, ${none ? 1 : failed} failed, ${skipped} skipped`);
  return none || failed > 0 ? 1 : 0;
}
