import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Family } from '../net/index.ts';
import { syncBuckets } from './buckets.ts';

/** What was put right: a jump from a built-in chain, a chain of Weir's, or the members of a set. */
export type DriftKind = 'jump' | 'chain' | 'set';

const partStates = ['starting', 'in_force', 'failing', 'standing_back', 'off'] as const;
export type PartStateName = (typeof partStates)[number];

/** Enough of a diagnostic to count it. */
export interface CountedDiagnostic {
  readonly kind: string;
  readonly severity: 'error' | 'warning' | 'hint';
}

/** What concerns this node: whether Weir is ready here, what others do to its rules, what is wrong with objects. */
export interface NodeMetrics {
  /** This node has rules of the family: its counters begin with a zero. */
  startFamily(family: Family): void;
  /** `weir_ready`: the first full sync is in the kernel, and nothing that a person must put right stands against it. */
  setReady(isReady: boolean): void;
  /** `weir_part_state`: what became of one part of the rules of a family. */
  setPartState(family: Family, part: 'services' | 'policies', state: PartStateName): void;
  /** Somebody else's change was put right. */
  driftRepaired(kind: DriftKind, count?: number): void;
  /** Another agent put a rule in front of Weir's jumps. */
  contested(): void;
  /** All that is wrong now with one origin; replaces what was said of it before. */
  setDiagnostics(origin: string, diagnostics: readonly CountedDiagnostic[]): void;
  /** How long starting a program held everything else up. `file`: the program's name. */
  spawned(file: string, seconds: number): void;
  /** Connections of a family were compared with the endpoints. */
  conntrackReconciled(family: Family, seconds: number, deleted: number): void;
  /** A request to the health server was answered. */
  probed(path: 'healthz' | 'livez', code: 200 | 503): void;
}

const driftKinds: readonly DriftKind[] = ['jump', 'chain', 'set'];
/** Kinds that alerts ask for, so that a zero is there before the first problem. */
const objectKinds = ['Service', 'EndpointSlice', 'NetworkPolicy', 'Pod', 'Namespace', 'Node'] as const;
const severities = ['error', 'warning', 'hint'] as const;

export function createNodeMetrics(registry: Registry): NodeMetrics {
  const registers = [registry];
  const ready = new Gauge({
    name: 'weir_ready',
    help: '1 when the first full sync is in the kernel and nothing stands against it.',
    registers,
  });
  const repairs = new Counter({
    name: 'weir_drift_repairs_total',
    help: "Changes of Weir's rules by somebody else that were put right.",
    labelNames: ['kind'],
    registers,
  });
  for (const kind of driftKinds) repairs.inc({ kind }, 0);
  const contests = new Counter({
    name: 'weir_contests_total',
    help: "Times that another agent put a rule in front of Weir's jumps.",
    registers,
  });
  const spawns = new Histogram({
    name: 'weir_exec_spawn_seconds',
    help: 'How long starting a program held everything else up.',
    labelNames: ['file'],
    buckets: [...syncBuckets],
    registers,
  });
  const partState = new Gauge({
    name: 'weir_part_state',
    help: 'What became of each part of the rules: 1 for its state, 0 for the others. Only in_force keeps up with the cluster.',
    labelNames: ['ip_family', 'part', 'state'],
    registers,
  });
  return {
    setReady: (isReady) => ready.set(isReady ? 1 : 0),
    setPartState: (ip_family, part, now) => {
      for (const state of partStates) partState.set({ ip_family, part, state }, state === now ? 1 : 0);
    },
    driftRepaired: (kind, count = 1) => repairs.inc({ kind }, count),
    contested: () => contests.inc(),
    spawned: (file, seconds) => spawns.observe({ file: file.slice(file.lastIndexOf('/') + 1) }, seconds),
    ...diagnosticMetrics(registry),
    ...conntrackMetrics(registry),
    ...probeMetrics(registry),
  };
}

function diagnosticMetrics(registry: Registry): Pick<NodeMetrics, 'setDiagnostics'> {
  const byOrigin = new Map<string, readonly CountedDiagnostic[]>();
  const gauge = new Gauge({
    name: 'weir_diagnostics',
    help: 'What is wrong with objects now. Error: that part is not in effect.',
    labelNames: ['kind', 'severity'],
    registers: [],
    collect() {
      this.reset();
      for (const kind of objectKinds) for (const severity of severities) this.set({ kind, severity }, 0);
      for (const list of byOrigin.values())
        for (const { kind, severity } of list) this.inc({ kind: kind === '' ? 'other' : kind, severity });
    },
  });
  registry.registerMetric(gauge);
  return {
    setDiagnostics: (origin, diagnostics) => {
      if (diagnostics.length === 0) byOrigin.delete(origin);
      else byOrigin.set(origin, diagnostics);
    },
  };
}

function conntrackMetrics(registry: Registry): Pick<NodeMetrics, 'startFamily' | 'conntrackReconciled'> {
  const registers = [registry];
  const labelNames = ['ip_family'] as const;
  const durations = new Histogram({
    name: 'kubeproxy_conntrack_reconciler_sync_duration_seconds',
    help: 'How long it took to compare tracked connections with the endpoints.',
    labelNames,
    buckets: [...syncBuckets],
    registers,
  });
  const deleted = new Counter({
    name: 'kubeproxy_conntrack_reconciler_deleted_entries_total',
    help: 'Tracked connections deleted because their endpoint is gone.',
    labelNames,
    registers,
  });
  return {
    startFamily: (family) => {
      durations.zero({ ip_family: family });
      deleted.inc({ ip_family: family }, 0);
    },
    conntrackReconciled: (family, seconds, count) => {
      durations.observe({ ip_family: family }, seconds);
      deleted.inc({ ip_family: family }, count);
    },
  };
}

function probeMetrics(registry: Registry): Pick<NodeMetrics, 'probed'> {
  const counters = {
    healthz: probeCounter(registry, 'healthz'),
    livez: probeCounter(registry, 'livez'),
  };
  return { probed: (path, code) => counters[path].inc({ code: String(code) }) };
}

function probeCounter(registry: Registry, path: string): Counter<'code'> {
  const counter = new Counter({
    name: `kubeproxy_proxy_${path}_total`,
    help: `Answers to requests for /${path}, by HTTP status.`,
    labelNames: ['code'],
    registers: [registry],
  });
  for (const code of ['200', '503']) counter.inc({ code }, 0);
  return counter;
}
