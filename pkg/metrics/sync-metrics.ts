import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Family } from '../net/index.ts';
import { latencyBuckets, programmingBuckets, syncBuckets } from './buckets.ts';

type TableName = 'filter' | 'nat';

/** One family's part in one sync. */
export interface SyncReport {
  readonly family: Family;
  /** Everything in the kernel was read and compared; else only what had changed was looked at. */
  readonly full: boolean;
  readonly seconds: number;
}

export interface SyncSuccess extends SyncReport {
  /** Rules written in this sync, by table. */
  readonly written: Readonly<Record<TableName, number>>;
}

export interface SyncFailure extends SyncReport {
  /** iptables-restore or ipset refused; else the kernel could not be read. */
  readonly restoreFailed: boolean;
}

/** Rules that should be in the kernel, by whom they are for. */
export interface RuleCount {
  /** `undefined`: Services are not Weir's task. */
  readonly service: number | undefined;
  /** The same for policies. */
  readonly policy: number | undefined;
}

/** Service ports that have endpoints, but none on this node, by the traffic policy that would need one. */
export interface NoLocalEndpoints {
  readonly internal: number;
  readonly external: number;
}

/** What the sync loop tells. Seconds everywhere; dates are taken from the wall clock at the call. */
export interface SyncMetrics {
  /** This node has rules of the family: its counters begin with a zero. */
  startFamily(family: Family): void;
  /** A change waits to be written; also called once when the loop starts. */
  queued(family: Family): void;
  /** A Service or an EndpointSlice changed in the store. */
  changed(kind: 'Service' | 'EndpointSlice'): void;
  /** The sync loop has taken in all that changed. */
  folded(): void;
  /** One family's rules are in the kernel as they should be, whether or not anything had to be written. */
  synced(report: SyncSuccess): void;
  failed(report: SyncFailure): void;
  /** This part of the family's rules is as it should be, after a sync or a look at the kernel between two. */
  verified(family: Family, part: 'services' | 'policies'): void;
  /** From the cause of an EndpointSlice's change, as its annotation dates it, to the rules. */
  programmed(family: Family, seconds: number): void;
  /** From the arrival of an event about a Service or its endpoints to the rules. */
  eventApplied(family: Family, seconds: number): void;
  setRules(family: Family, tables: Readonly<Record<TableName, RuleCount>>): void;
  setNoLocalEndpoints(family: Family, ports: NoLocalEndpoints): void;
}

const tables = ['filter', 'nat'] as const;

export function createSyncMetrics(registry: Registry, nowSeconds: () => number): SyncMetrics {
  const parts = [
    outcomeMetrics(registry, nowSeconds),
    latencyMetrics(registry),
    ruleMetrics(registry),
    localityMetrics(registry),
  ] as const;
  const [outcomes, latencies, rules, locality] = parts;
  return {
    ...outcomes,
    ...latencies,
    ...rules,
    ...locality,
    ...changeMetrics(registry),
    startFamily: (family) => {
      for (const part of parts) part.startFamily(family);
    },
    synced: (report) => {
      outcomes.synced(report);
      rules.synced(report);
    },
  };
}

type Part<Method extends keyof SyncMetrics> = Pick<SyncMetrics, Method | 'startFamily'>;

function outcomeMetrics(
  registry: Registry,
  nowSeconds: () => number,
): Part<'queued' | 'synced' | 'failed' | 'verified'> {
  const durations = durationMetrics(registry);
  const lastSync = gauge(registry, 'kubeproxy_sync_proxy_rules_last_timestamp_seconds', {
    help: 'When the last sync ended well, in seconds since 1970.',
  });
  const lastSuccess = new Gauge({
    name: 'weir_last_sync_success_timestamp_seconds',
    help: 'When the rules were last known to be as they should be, after a sync or a look, in seconds since 1970.',
    labelNames: ['ip_family', 'part'],
    registers: [registry],
  });
  const lastQueued = gauge(registry, 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds', {
    help: 'When a sync was last asked for, in seconds since 1970.',
  });
  const restoreFailures = counter(registry, 'kubeproxy_sync_proxy_rules_iptables_restore_failures_total', {
    help: 'Syncs that failed because iptables-restore or ipset refused or did not finish.',
  });
  const partialFailures = counter(
    registry,
    'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total',
    {
      help: 'Syncs that failed although they wrote only what had changed; the next one reads the kernel first.',
    },
  );
  return {
    startFamily: (family) => {
      durations.startFamily(family);
      for (const each of [restoreFailures, partialFailures]) each.inc({ ip_family: family }, 0);
    },
    queued: (family) => lastQueued.set({ ip_family: family }, nowSeconds()),
    synced: (report) => {
      durations.took(report);
      lastSync.set({ ip_family: report.family }, nowSeconds());
    },
    verified: (family, part) => lastSuccess.set({ ip_family: family, part }, nowSeconds()),
    failed: (report) => {
      durations.took(report);
      if (report.restoreFailed) restoreFailures.inc({ ip_family: report.family });
      if (!report.full) partialFailures.inc({ ip_family: report.family });
    },
  };
}

function durationMetrics(registry: Registry): {
  startFamily(family: Family): void;
  took(report: SyncReport): void;
} {
  const buckets = syncBuckets;
  const all = histogram(registry, 'kubeproxy_sync_proxy_rules_duration_seconds', {
    help: 'How long syncs took, whether they ended well or not.',
    buckets,
  });
  const full = histogram(registry, 'kubeproxy_sync_full_proxy_rules_duration_seconds', {
    help: 'How long the syncs took that read the kernel and compared everything.',
    buckets,
  });
  const partial = histogram(registry, 'kubeproxy_sync_partial_proxy_rules_duration_seconds', {
    help: 'How long the syncs took that looked only at what had changed.',
    buckets,
  });
  return {
    startFamily: (family) => {
      for (const each of [all, full, partial]) each.zero({ ip_family: family });
    },
    took: ({ family, full: isFull, seconds }) => {
      for (const each of [all, isFull ? full : partial]) each.observe({ ip_family: family }, seconds);
    },
  };
}

function latencyMetrics(registry: Registry): Part<'programmed' | 'eventApplied'> {
  const programming = histogram(registry, 'kubeproxy_network_programming_duration_seconds', {
    help: 'From the cause of a change of endpoints, as the control plane dates it, to its rules.',
    buckets: programmingBuckets,
  });
  const applied = histogram(registry, 'weir_event_to_applied_seconds', {
    help: 'From the arrival of an event about a Service or its endpoints to its rules.',
    buckets: latencyBuckets,
  });
  return {
    startFamily: (family) => {
      for (const each of [programming, applied]) each.zero({ ip_family: family });
    },
    // The control plane's clock may be ahead of the node's.
    programmed: (family, seconds) => programming.observe({ ip_family: family }, Math.max(seconds, 0)),
    eventApplied: (family, seconds) => applied.observe({ ip_family: family }, seconds),
  };
}

function ruleMetrics(registry: Registry): Part<'setRules'> & {
  synced(report: Pick<SyncSuccess, 'family' | 'written'>): void;
} {
  const registers = [registry];
  const owned = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_iptables_total',
    help: 'Rules for Services that should be in the kernel.',
    labelNames: ['table', 'ip_family'],
    registers,
  });
  const written = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_iptables_last',
    help: 'Rules written in the last sync.',
    labelNames: ['table', 'ip_family'],
    registers,
  });
  const rules = new Gauge({
    name: 'weir_rules',
    help: 'Rules that should be in the kernel, by what they are for.',
    labelNames: ['table', 'ip_family', 'for'],
    registers,
  });
  return {
    startFamily: (ip_family) => {
      for (const table of tables) written.set({ table, ip_family }, 0);
    },
    synced: ({ family, written: counts }) => {
      for (const table of tables) written.set({ table, ip_family: family }, counts[table]);
    },
    setRules: (ip_family, counts) => {
      for (const table of tables) {
        const { service, policy } = counts[table];
        if (service !== undefined) owned.set({ table, ip_family }, service);
        for (const [what, count] of [
          ['service', service],
          ['policy', policy],
        ] as const)
          if (count !== undefined) rules.set({ table, ip_family, for: what }, count);
      }
    },
  };
}

function localityMetrics(registry: Registry): Part<'setNoLocalEndpoints'> {
  const ports = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
    help: 'Service ports with traffic policy Local that have endpoints, but none on this node.',
    labelNames: ['traffic_policy', 'ip_family'],
    registers: [registry],
  });
  const set = (ip_family: Family, { internal, external }: NoLocalEndpoints): void => {
    ports.set({ traffic_policy: 'internal', ip_family }, internal);
    ports.set({ traffic_policy: 'external', ip_family }, external);
  };
  return { startFamily: (family) => set(family, { internal: 0, external: 0 }), setNoLocalEndpoints: set };
}

function changeMetrics(registry: Registry): Pick<SyncMetrics, 'changed' | 'folded'> {
  const changes = {
    Service: changeMetric(registry, 'service', 'Services'),
    EndpointSlice: changeMetric(registry, 'endpoint', 'EndpointSlices'),
  };
  return {
    changed: (kind) => {
      changes[kind].total.inc();
      changes[kind].pending.inc();
    },
    folded: () => {
      for (const { pending } of Object.values(changes)) pending.set(0);
    },
  };
}

function changeMetric(registry: Registry, word: string, kind: string): { total: Counter; pending: Gauge } {
  const registers = [registry];
  return {
    total: new Counter({
      name: `kubeproxy_sync_proxy_rules_${word}_changes_total`,
      help: `Changes of ${kind} seen.`,
      registers,
    }),
    pending: new Gauge({
      name: `kubeproxy_sync_proxy_rules_${word}_changes_pending`,
      help: `Changes of ${kind} that no sync has taken in yet.`,
      registers,
    }),
  };
}

interface Described {
  readonly help: string;
}

function histogram(
  registry: Registry,
  name: string,
  { help, buckets }: Described & { readonly buckets: readonly number[] },
): Histogram<'ip_family'> {
  return new Histogram({
    name,
    help,
    buckets: [...buckets],
    labelNames: ['ip_family'],
    registers: [registry],
  });
}

function gauge(registry: Registry, name: string, { help }: Described): Gauge<'ip_family'> {
  return new Gauge({ name, help, labelNames: ['ip_family'], registers: [registry] });
}

function counter(registry: Registry, name: string, { help }: Described): Counter<'ip_family'> {
  return new Counter({ name, help, labelNames: ['ip_family'], registers: [registry] });
}
