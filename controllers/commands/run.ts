import { parseRunConfig } from '../../pkg/config/index.ts';
import { createLogger } from '../../pkg/log/index.ts';
import {
  type Crash,
  crashLine,
  createCommandRunner,
  Supervisor,
  systemClock,
  WeirError,
} from '../../pkg/runtime/index.ts';
import { createManifestSource } from '../../pkg/source/index.ts';
import { Agent } from '../agent.ts';

/** How long a running sync may go on after SIGTERM: well inside the 30 s that a pod gets. */
const stopDeadlineMs = 10_000;

export interface RunCommand {
  readonly flags: Readonly<Record<string, unknown>>;
  /** Resolves at the first signal to stop. */
  readonly stopRequested: Promise<string>;
}

/** `weir run`: keeps the node's rules up to date until it is told to stop. Returns the exit code. */
export async function run({ flags, stopRequested }: RunCommand): Promise<number> {
  const parsed = parseRunConfig(flags);
  if ('errors' in parsed) throw new WeirError('WEIR_BAD_FLAG', parsed.errors.join('; '));
  const { config } = parsed;
  const log = createLogger({ level: config.v > 0 ? 'debug' : 'info', format: config.loggingFormat });
  const supervisor = new Supervisor();
  const agent = new Agent({
    config,
    source: createManifestSource({ path: config.manifests, clock: systemClock }),
    commands: createCommandRunner(),
    clock: systemClock,
    log,
    supervisor,
  });
  const failedStart = agent.start().then(
    () => supervisor.crashed,
    (error: unknown): Crash => ({ part: 'start', error }),
  );
  const end = await Promise.race([failedStart, supervisor.crashed, stopRequested]);
  supervisor.release();
  if (typeof end === 'string') log.info(`${end}: stopping; the rules stay`);
  await agent.stop(stopDeadlineMs);
  if (typeof end === 'string') return 0;
  log.error(crashLine(end));
  return 1;
}
