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
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

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

export function createMetrics({ version, wallClock }: MetricsOptions): Metrics {
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
  return {
    sync,
    policy,
    packets: createPacketMetrics(registry),
    node,
    watch: createWatchMetrics(registry, nowSeconds),
    sli: createSliMetrics(),
    apiCalled: createApiMetrics(registry),
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
