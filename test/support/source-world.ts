import { ApiStatusError } from '../../pkg/source/apiserver/api-client.ts';
import { createApiServerSource } from '../../pkg/source/apiserver/api-server-source.ts';
import type { ReflectorObserver } from '../../pkg/source/apiserver/reflector-observer.ts';
import type { Source } from '../../pkg/source/index.ts';
import { FakeClock } from './fake-clock.ts';
import { InMemoryApiClient, type InMemoryApiOptions } from './in-memory-api-client.ts';
import { seededRandom } from './random.ts';
import { type RecordedLog, recordedLog } from './recorded-log.ts';
import { ToldSource } from './told-source.ts';

type Json = Readonly<Record<string, unknown>>;

/** An API server source, all that is around it, and what it said. */
export interface SourceWorld {
  readonly api: InMemoryApiClient;
  readonly clock: FakeClock;
  readonly told: ToldSource;
  readonly log: RecordedLog;
  readonly source: Source;
  /** `method kind …` of the observer, without `heard`. */
  readonly observed: string[];
  /** Starts, and lets happen what can without time passing. */
  start(): Promise<void>;
  /** Lets happen what can without time passing. */
  settle(): Promise<void>;
  /** What became of `start`. */
  readonly startState: () => 'new' | 'pending' | 'resolved' | Error;
}

interface SourceWorldOptions extends Omit<InMemoryApiOptions, 'clock'> {
  readonly seed?: number;
  /** Milliseconds since 1970 at which the clock begins. */
  readonly epochMs?: number;
}

export function sourceWorld({ seed = 1, epochMs = 0, ...options }: SourceWorldOptions = {}): SourceWorld {
  const clock = new FakeClock();
  const api = new InMemoryApiClient({ clock, ...options });
  const told = new ToldSource();
  const log = recordedLog();
  const observed: string[] = [];
  const source = createApiServerSource({
    client: api,
    nodeName: 'node-1',
    clock,
    random: seededRandom(seed),
    epochMs: () => epochMs + clock.now(),
    log,
    observer: recordingObserver(observed),
  });
  let state: ReturnType<SourceWorld['startState']> = 'new';
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn++) await clock.advance(0);
  };
  return {
    api,
    clock,
    told,
    log,
    source,
    observed,
    startState: () => state,
    settle,
    start: async () => {
      state = 'pending';
      source.start(told).then(
        () => (state = 'resolved'),
        (error: Error) => (state = error),
      );
      await settle();
    },
  };
}

function recordingObserver(observed: string[]): ReflectorObserver {
  return {
    listed: (kind, _, items) => void observed.push(`listed ${kind} ${items}`),
    watchStarted: (kind, reason) => void observed.push(`watchStarted ${kind} ${reason}`),
    heard: () => undefined,
    event: (kind, type) => void observed.push(`event ${kind} ${type}`),
    failed: (kind, reason) => void observed.push(`failed ${kind} ${reason}`),
  };
}

export function wireService(name: string, clusterIP: string, metadata: Json = {}): Json {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop', ...metadata },
    spec: { clusterIP, clusterIPs: [clusterIP], ports: [{ port: 80 }] },
  };
}

export function wireSlice(name: string, ip: string, metadata: Json = {}): Json {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' }, ...metadata },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: [{ addresses: [ip], conditions: { ready: true } }],
  };
}

export function wirePolicy(name: string, port: unknown): Json {
  const ingress = [{ ports: [{ port }] }];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'shop' },
    spec: { podSelector: {}, policyTypes: ['Ingress'], ingress },
  };
}

export function wirePod(name: string, ip: string): Json {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop' },
    spec: { nodeName: 'node-1' },
    status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
  };
}

export function wireNode(name: string): Json {
  return { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {}, status: {} };
}

/** An answer with this status. */
export function status(code: number, reason: string, retryAfterMs?: number): ApiStatusError {
  return new ApiStatusError(code, reason, `${reason} as ordered`, retryAfterMs);
}
