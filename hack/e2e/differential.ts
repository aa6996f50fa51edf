import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findSandbox, sandboxed } from '../../test/support/sandbox.ts';
import { build } from '../build.ts';
import { upstreamFolder } from '../upstream.ts';
import { runVitestProject } from '../vitest-project.ts';

/**
 * Shows the same random history of objects to Weir and to upstream's kube-proxy, and compares what becomes of packets. Says at
 * the end how many rounds passed.
 */
export async function runDifferential(words: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...words],
    options: { seed: { type: 'string' }, rounds: { type: 'string', default: '4' } },
  });
  const seed = numberOf('seed', values.seed ?? `${Date.now() % 0x7fff_ffff}`);
  const rounds = numberOf('rounds', values.rounds);
  const sandbox = await findSandbox();
  if (sandbox.kind !== 'root') throw new Error('This suite needs root on a machine that allows namespaces.');
  await build();
  const lab = await mkdtemp(join(tmpdir(), 'weir-differential-'));
  Object.assign(process.env, {
    WEIR_LAB: lab,
    WEIR_UPSTREAM: await upstreamFolder(),
    WEIR_SEED: `${seed}`,
    WEIR_ROUNDS: `${rounds}`,
  });
  console.error(
    `npm run e2e -- differential --seed ${seed} --rounds ${rounds} repeats this; logs are in ${lab}/logs`,
  );
  const counts = await runVitestProject('differential', [], async (vitest) => sandboxed(sandbox, vitest));
  if (counts.failed === 0) await rm(lab, { recursive: true, force: true });
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  return counts.failed === 0 ? 0 : 1;
}

function numberOf(option: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0)
    throw new RangeError(`--${option} is a number, not ${text}`);
  return number;
}
