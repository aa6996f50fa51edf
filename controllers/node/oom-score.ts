import { readFile, writeFile } from 'node:fs/promises';
import type { Logger } from '../../pkg/log/index.ts';
import { errorLine } from '../../pkg/runtime/index.ts';

/**
 * How soon the kernel ends this process when memory runs out: -1000 (never) to 1000. To lower it takes SYS_RESOURCE, which Weir's
 * DaemonSet does not have because its priority class gives it a low score already: so a refusal is no more than worth knowing.
 */
export async function setOomScore(
  score: number,
  log: Pick<Logger, 'debug'>,
  file = '/proc/self/oom_score_adj',
): Promise<void> {
  try {
    const present = (await readFile(file, 'utf8')).trim();
    if (present === String(score)) return;
    await writeFile(file, String(score), { flag: 'r+' });
  } catch (error) {
    log.debug(`oom_score_adj could not be set to ${score}: ${errorLine(error)}`);
  }
}
