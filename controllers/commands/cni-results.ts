import type { PlanConfig } from '../../pkg/config/index.ts';
import { systemClock } from '../../pkg/runtime/index.ts';
import { type CniResult, cniCacheFolders, createCniCache } from '../../pkg/source/index.ts';
import type { Output } from './output.ts';

/**
 * What the container runtime of this node says of new pods, read once, as a running Weir knows it. Nothing where the rules are those of another
 * node (`--against`), unless `--cni-cache-dir` names that node's results. What cannot be read in a configured folder is a warning.
 */
export async function readCniResults(
  { cniCacheDir, against }: Pick<PlanConfig, 'cniCacheDir' | 'against'>,
  output: Pick<Output, 'warn'>,
): Promise<readonly CniResult[]> {
  if (cniCacheDir === undefined && against.length > 0) return [];
  const cache = createCniCache({
    folders: cniCacheDir === undefined ? cniCacheFolders : [cniCacheDir],
    clock: systemClock,
    onChange: () => undefined,
    onProblem: (problem) => {
      if (problem !== undefined && cniCacheDir !== undefined) output.warn(`warning: ${problem}\n`);
    },
  });
  await cache.start();
  const results = cache.results();
  await cache.stop();
  return results;
}
