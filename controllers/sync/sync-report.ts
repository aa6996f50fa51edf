import { isEmptyPlan, type Plan } from '../../pkg/kernel/index.ts';
import type { Metrics } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, isWeirError, type WeirErrorCode } from '../../pkg/runtime/index.ts';
import type { EventSink } from '../events/event-recorder.ts';
import { knownEvents } from '../events/known-events.ts';
import type { ProxyHealth } from '../health/proxy-health.ts';
import type { ChangeLatency } from './change-latency.ts';
import { parts } from './part-ownership.ts';
import type { PartSynced, PartsFailed } from './sync-loop.ts';

export interface SyncReportOptions {
  readonly nodeName: string;
  readonly families: readonly Family[];
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'sync' | 'node'>;
  readonly health: Pick<ProxyHealth, 'queued' | 'updated' | 'failed' | 'absent'>;
  readonly latency: Pick<ChangeLatency, 'folded' | 'applied' | 'dropped'>;
  readonly events: EventSink;
}

/** Failures of the programs that write, not of those that read. */
const writeFailures: ReadonlySet<WeirErrorCode> = new Set([
  'WEIR_RESTORE_FAILED',
  'WEIR_IPSET_FAILED',
  'WEIR_LOCK_HELD',
]);

/** Tells metrics, health and events what became of each sync. */
export class SyncReport {
  readonly #options: SyncReportOptions;
  #startedAt = 0;

  constructor(options: SyncReportOptions) {
    this.#options = options;
  }

  queued(): void {
    const { families, metrics, health } = this.#options;
    for (const family of families) {
      metrics.sync.queued(family);
      for (const part of parts) health.queued(family, part);
    }
  }

  began(): void {
    const { clock, metrics, latency } = this.#options;
    this.#startedAt = clock.now();
    metrics.sync.folded();
    latency.folded();
  }

  synced({ family, part, plan, durationMs, wasRead, isRepair, isAbsent }: PartSynced): void {
    const { metrics, health, latency } = this.#options;
    if (isAbsent) {
      health.absent(family, part);
      latency.dropped(family, part);
      return;
    }
    latency.applied(family, part);
    metrics.sync.verified(family, part);
    // kube-proxy's metrics are about Services.
    if (part === 'services') {
      metrics.sync.synced({
        family,
        full: wasRead,
        seconds: durationMs / 1000,
        written: { filter: rulesIn(plan, 'filter'), nat: rulesIn(plan, 'nat') },
      });
    }
    health.updated(family, part);
    if (isRepair && plan !== undefined) this.#repaired(plan);
  }

  failed({ family, parts, error, wasRead }: PartsFailed): void {
    const { clock, metrics, health } = this.#options;
    for (const part of parts) health.failed(family, part, error);
    metrics.sync.failed({
      family,
      full: wasRead,
      seconds: (clock.now() - this.#startedAt) / 1000,
      restoreFailed: isWeirError(error) && writeFailures.has(error.code),
    });
  }

  #repaired(plan: Plan): void {
    if (isEmptyPlan(plan)) return;
    const { nodeName, metrics, events } = this.#options;
    const jumps = plan.jumps.length;
    const chains = plan.writeChains.length + plan.deleteChains.length;
    const sets =
      plan.createSets.length + plan.addMembers.length + plan.removeMembers.length + plan.destroySets.length;
    if (jumps > 0) metrics.node.driftRepaired('jump', jumps);
    if (chains > 0) metrics.node.driftRepaired('chain', chains);
    if (sets > 0) metrics.node.driftRepaired('set', sets);
    // Without the numbers, so that a fight over the rules is one event that goes on.
    events.event(
      knownEvents.rulesRepaired(nodeName, `${plan.family} rules were changed by somebody else and put right`),
    );
  }
}

function rulesIn(plan: Plan | undefined, table: 'filter' | 'nat'): number {
  if (plan === undefined) return 0;
  const chains = plan.writeChains.filter((chain) => chain.table === table);
  const jumps = plan.jumps.filter((jump) => jump.table === table && jump.kind === 'insert');
  return chains.reduce((sum, { rules }) => sum + lineCount(rules), jumps.length);
}

function lineCount(text: string): number {
  return text === '' ? 0 : text.split('\n').length;
}
