import { createSysctl } from '../../pkg/apply/index.ts';
import type { RunConfig } from '../../pkg/config/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import { createCommandRunner, errorLine, systemClock } from '../../pkg/runtime/index.ts';
import { setUpWithPrivilege } from '../node/node-set-up.ts';
import { openKernel } from '../sync/families.ts';

/** `weir run --init-only`: the part of a start that needs full privilege, for an init container. Returns the exit code. */
export async function initNode(config: RunConfig, log: Logger): Promise<number> {
  const commands = createCommandRunner();
  const { signal } = new AbortController();
  try {
    const kernel = await openKernel(config, commands, systemClock, log);
    await setUpWithPrivilege({
      config,
      kernel,
      commands,
      sysctl: createSysctl(),
      clock: systemClock,
      log,
      signal,
    });
  } catch (error) {
    log.error(`the node can't be set up: ${errorLine(error)}`);
    return 1;
  }
  log.info('the node is set up; "weir run" needs no more than NET_ADMIN and NET_RAW from here on');
  return 0;
}
