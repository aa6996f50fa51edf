import { access } from 'node:fs/promises';
import { type Flags, loadRunConfig, type RunConfig } from '../../pkg/config/index.ts';
import { createLogger, type Logger } from '../../pkg/log/index.ts';
import { createMetrics, type Metrics } from '../../pkg/metrics/index.ts';
import {
  type Crash,
  crashLine,
  createCommandRunner,
  Supervisor,
  systemClock,
  WeirError,
} from '../../pkg/runtime/index.ts';
import {
  type ApiClient,
  createApiClient,
  createApiServerSource,
  createManifestSource,
  type Source,
} from '../../pkg/source/index.ts';
import { Agent } from '../agent.ts';
import { watchConfig } from '../config-watch.ts';
import { EventRecorder } from '../event-recorder.ts';
import { setOomScore } from '../oom-score.ts';
import { commandErrorLine } from '../program.ts';
import { configHost } from './config-host.ts';
import { initNode } from './init-node.ts';
import { requireLoaded } from './require-config.ts';

/** How long a running sync may go on after SIGTERM: well inside the 30 s that a pod gets. */
const stopDeadlineMs = 10_000;
const eventDeadlineMs = 2000;

export interface RunCommand {
  readonly flags: Flags;
  /** Of the process: the in-cluster address of the API server is there. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Resolves at the first signal to stop. */
  readonly stopRequested: Promise<string>;
}

/** The agent could not begin to work. */
interface FailedStart {
  readonly startError: unknown;
}

/** `weir run`: keeps the node's rules up to date until it is told to stop. Returns the exit code. */
export async function run({ flags, env, version, stopRequested }: RunCommand): Promise<number> {
  const { config, warnings } = requireLoaded(await loadRunConfig(flags, configHost()));
  const log = createLogger({ level: config.v > 0 ? 'debug' : 'info', format: config.loggingFormat });
  for (const warning of warnings) log.warn(warning);
  if (config.initOnly) return initNode(config, log);
  await setOomScore(config.oomScoreAdj, log);
  const metrics = createMetrics({ version, wallClock: Date.now });
  const { source, client } = await openSource({ config, env, version, log, metrics });
  const events = client && new EventRecorder({ client, nodeName: config.nodeName, clock: systemClock, log });
  const supervisor = new Supervisor();
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
  });
  const stop = new AbortController();
  if (config.configFile !== undefined) {
    const watch = watchConfig({ file: config.configFile, clock: systemClock, signal: stop.signal });
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
  log.error('startError' in end ? `weir can't start: ${commandErrorLine(end.startError)}` : crashLine(end));
  return 1;
}

interface OpenSource {
  readonly config: RunConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly log: Logger;
  readonly metrics: Metrics;
}

async function openSource(open: OpenSource): Promise<{ source: Source; client?: ApiClient }> {
  const { config, env, version, log, metrics } = open;
  if (config.manifests !== undefined) {
    await requireManifests(config.manifests);
    return { source: createManifestSource({ path: config.manifests, clock: systemClock }) };
  }
  const client = await createApiClient({
    ...(config.kubeconfig === '' ? {} : { kubeconfig: config.kubeconfig }),
    ...(config.master === '' ? {} : { master: config.master }),
    env,
    clock: systemClock,
    userAgent: `weir/${version} (${process.platform}/${process.arch})`,
    onCall: metrics.apiCalled,
  });
  log.info(`API server: ${client.server}`);
  const { nodeName } = config;
  const source = createApiServerSource({
    client,
    nodeName,
    clock: systemClock,
    log,
    observer: metrics.watch,
  });
  return { source, client };
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
