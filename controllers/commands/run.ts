import { type Flags, loadRunConfig } from '../../pkg/config/index.ts';
import { createLogger } from '../../pkg/log/index.ts';
import { createMetrics } from '../../pkg/metrics/index.ts';
import {
  type Crash,
  crashLine,
  createCommandRunner,
  isWeirError,
  Supervisor,
  systemClock,
} from '../../pkg/runtime/index.ts';
import { Agent } from '../agent.ts';
import { EventRecorder } from '../events/event-recorder.ts';
import { watchConfig } from '../node/config-watch.ts';
import { setOomScore } from '../node/oom-score.ts';
import { PodsAsOf } from '../policies/pods-as-of.ts';
import { commandErrorLine } from '../program.ts';
import { configHost } from './config-host.ts';
import { initNode } from './init-node.ts';
import { type Caller, openSource } from './open-source.ts';
import { requireLoaded } from './require-config.ts';

/** How long a running sync may go on after SIGTERM: well inside the 30 s that a pod gets. */
const stopDeadlineMs = 10_000;
const eventDeadlineMs = 2000;

export interface RunCommand extends Caller {
  readonly flags: Flags;
  /** Resolves at the first signal to stop. */
  readonly stopRequested: Promise<string>;
  /** Rejects with the first error that nobody caught from the call on. */
  readonly uncaught: () => Promise<never>;
}

/** The agent could not begin to work. */
interface FailedStart {
  readonly startError: unknown;
}

/** `weir run`: keeps the node's rules up to date until it is told to stop. Returns the exit code. */
export async function run({ flags, env, version, stopRequested, uncaught }: RunCommand): Promise<number> {
  const host = configHost();
  let configText = '';
  const readFile = async (path: string): Promise<string> => {
    configText = await host.readFile(path);
    return configText;
  };
  const { config, warnings } = requireLoaded(await loadRunConfig(flags, { ...host, readFile }));
  const log = createLogger({ level: config.v > 0 ? 'debug' : 'info', format: config.loggingFormat });
  for (const warning of warnings) log.warn(warning);
  if (config.initOnly) return initNode(config, log);
  await setOomScore(config.oomScoreAdj, log);
  const metrics = createMetrics({ version, wallClock: Date.now, parts: config.parts });
  const podsAsOf = new PodsAsOf(systemClock);
  const { source, client } = await openSource({
    config,
    env,
    version,
    log,
    onCall: metrics.apiCalled,
    observer: podsAsOf.observer(metrics.watch),
  });
  const events = client && new EventRecorder({ client, nodeName: config.nodeName, clock: systemClock, log });
  const supervisor = new Supervisor();
  supervisor.watch('an error that nobody caught', uncaught());
  const agent = new Agent({
    config,
    source,
    commands: createCommandRunner({
      onSpawn: (file, seconds) => metrics.node.spawned(file, seconds),
    }),
    clock: systemClock,
    log,
    metrics,
    events: events ?? { event: () => undefined },
    supervisor,
    ...(client === undefined ? {} : { podsAsOf: () => podsAsOf.now() }),
  });
  const stop = new AbortController();
  if (config.configFile !== undefined) {
    const watched = { file: config.configFile, text: configText, clock: systemClock };
    const watch = watchConfig({ ...watched, signal: stop.signal });
    supervisor.watch('configuration', watch);
  }
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
  stop.abort();
  if (typeof end === 'string') log.info(`${end}: stopping; the rules stay`);
  await agent.stop(stopDeadlineMs);
  await events?.stop(eventDeadlineMs);
  await client?.close();
  if (typeof end === 'string') return 0;
  if ('part' in end && end.error !== undefined && !isWeirError(end.error))
    log.error('a fault in Weir', { error: end.error });
  log.error('startError' in end ? `weir can't start: ${commandErrorLine(end.startError)}` : crashLine(end));
  return 1;
}
