import { Gauge, Registry } from 'prom-client';
import type { Family } from '../net/index.ts';
import { type ApiCallReport, createApiMetrics } from './api-metrics.ts';
import { createNodeMetrics, type NodeMetrics } from './node-metrics.ts';
import { createPacketMetrics, type PacketMetrics } from './packet-metrics.ts';
import { createPolicyMetrics, type PolicyMetrics } from './policy-metrics.ts';
import { addProcessMetrics } from './process-metrics.ts';
import { createSliMetrics, type SliMetrics } from './sli-metrics.ts';
import { createSyncMetrics, type SyncMetrics } from './sync-metrics.ts';
import { createWatchMetrics, type WatchMetrics } from './watch-metrics.ts';

export interface MetricsOptions {
  /** What Weir has to do with on this node; metrics of the rest are not shown. Defaults to all. */
  readonly parts?: readonly MeasuredPart[];
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** What of it stands and fails alone. */
type MeasuredPart = 'policies' | 'services';

/** By what the names of metrics begin that are about one part alone. */
const namesOfParts: Readonly<Record<MeasuredPart, RegExp>> = {
  services: /^(kubeproxy_|weir_event_to_applied_)/,
  policies: /^weir_(policy|closed_start)_/,
};

/** All that Weir counts. Nothing is global: each call of `createMetrics` starts from zero. */
export interface Metrics {
  readonly sync: SyncMetrics;
  readonly policy: PolicyMetrics;
  readonly packets: PacketMetrics;
  /** An observer for the reflectors. */
  readonly watch: WatchMetrics;
  readonly node: NodeMetrics;
  /** A call to the API server ended. */
  readonly apiCalled: (call: ApiCallReport) => void;
  /** These families have rules on this node: what alerts ask for begins with a zero. */
  startFamilies(families: readonly Family[]): void;
  /** Before each scrape: to look at what is too dear to keep current all the time. It must not wait long; if it fails, the scrape goes on. */
  onScrape(prepare: () => Promise<void> | void): void;
  readonly sli: SliMetrics;
  /** Of `text`, for the header. */
  readonly contentType: string;
  /** A scrape in Prometheus' text format. */
  text(): Promise<string>;
}

export function createMetrics({ version, wallClock, parts }: MetricsOptions): Metrics {
  const registry = new Registry();
  const nowSeconds = (): number => wallClock() / 1000;
  const preparations: (() => Promise<void> | void)[] = [];
  new Gauge({
    name: 'weir_build_info',
    help: 'Always 1: what runs here.',
    labelNames: ['version', 'node_version'],
    registers: [registry],
  }).set({ version, node_version: process.versions.node }, 1);
  addProcessMetrics(registry, nowSeconds);
  const sync = createSyncMetrics(registry, nowSeconds);
  const policy = createPolicyMetrics(registry);
  const node = createNodeMetrics(registry);
  const metrics = {
    sync,
    policy,
    packets: createPacketMetrics(registry),
    node,
    watch: createWatchMetrics(registry, nowSeconds),
    sli: createSliMetrics(),
    apiCalled: createApiMetrics(registry),
  };
  if (parts !== undefined) hideOthers(registry, parts);
  return {
    ...metrics,
    startFamilies: (families) => {
      for (const family of families) for (const group of [sync, policy, node]) group.startFamily(family);
    },
    onScrape: (prepare) => {
      preparations.push(prepare);
    },
    contentType: registry.contentType,
    text: async () => {
      await Promise.allSettled(preparations.map(async (prepare) => prepare()));
      return registry.metrics();
    },
  };
}

/** A kube-proxy beside Weir has metrics of its own by the same names. */
function hideOthers(registry: Registry, parts: readonly MeasuredPart[]): void {
  for (const [part, names] of Object.entries(namesOfParts)) {
    if (parts.some((one) => one === part)) continue;
    for (const { name } of registry.getMetricsAsArray())
      if (names.test(name)) registry.removeSingleMetric(name);
  }
}
