import { access } from 'node:fs/promises';
import { configWarnings, type Flags, parseRunConfig } from '../../pkg/config/index.ts';
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
import { commandErrorLine } from '../program.ts';
import { requireConfig } from './require-config.ts';

/** How long a running sync may go on after SIGTERM: well inside the 30 s that a pod gets. */
const stopDeadlineMs = 10_000;

export interface RunCommand {
  readonly flags: Flags;
  /** Resolves at the first signal to stop. */
  readonly stopRequested: Promise<string>;
}

/** The agent could not begin to work. */
interface FailedStart {
  readonly startError: unknown;
}

/** `weir run`: keeps the node's rules up to date until it is told to stop. Returns the exit code. */
export async function run({ flags, stopRequested }: RunCommand): Promise<number> {
  const config = requireConfig(parseRunConfig(flags));
  await requireManifests(config.manifests);
  const log = createLogger({ level: config.v > 0 ? 'debug' : 'info', format: config.loggingFormat });
  for (const warning of configWarnings(config)) log.warn(warning);
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
    (startError: unknown): FailedStart => ({ startError }),
  );
  const end: string | Crash | FailedStart = await Promise.race([
    failedStart,
    supervisor.crashed,
    stopRequested,
  ]);
  supervisor.release();
  if (typeof end === 'string') log.info(`${end}: stopping; the rules stay`);
  await agent.stop(stopDeadlineMs);
  if (typeof end === 'string') return 0;
  log.error('startError' in end ? `weir can't start: ${commandErrorLine(end.startError)}` : crashLine(end));
  return 1;
}

/** A path that is mistyped is known before anything on the node is touched. */
async function requireManifests(path: string): Promise<void> {
  try {
    await access(path);
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const why = isMissing ? 'there is no such file or folder' : String(cause);
    throw new WeirError('WEIR_MANIFESTS_UNREADABLE', `can't read manifests from ${path}: ${why}`, { cause });
  }
}
