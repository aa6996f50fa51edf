import { readSetSizes } from '../pkg/apply/index.ts';
import type { Store } from '../pkg/cache/index.ts';
import type { RunConfig } from '../pkg/config/index.ts';
import type { TableName } from '../pkg/kernel/index.ts';
import type { Logger } from '../pkg/log/index.ts';
import type { Metrics, RuleCount } from '../pkg/metrics/index.ts';
import type { Family } from '../pkg/net/index.ts';
import type { Clock, CommandRunner } from '../pkg/runtime/index.ts';
import type { CniResult } from '../pkg/source/index.ts';
import type { DiagnosticLog } from './diagnostic-log.ts';
import type { EventSink } from './events/event-recorder.ts';
import { ConflictEvents } from './events/known-events.ts';
import type { ProxyHealth } from './health/proxy-health.ts';
import { AddressWatch } from './node/address-watch.ts';
import { heldDiagnostics } from './node/held-diagnostic.ts';
import { nodeDiagnostics } from './node/node-diagnostic.ts';
import { otherProxyPorts } from './node/other-proxy.ts';
import type { Readiness } from './node/readiness.ts';
import { GuardDropCounter } from './policies/guard-drop-counter.ts';
import { PolicyController } from './policies/policy-controller.ts';
import { PolicyDropCounter } from './policies/policy-drop-counter.ts';
import { PolicyFollowUp } from './policies/policy-follow-up.ts';
import { ConntrackController } from './services/conntrack-controller.ts';
import { LeftoverRemoval } from './services/leftover-removal.ts';
import { PacketCounter } from './services/packet-counter.ts';
import { ServiceController } from './services/service-controller.ts';
import { ServiceFollowUp } from './services/service-follow-up.ts';
import type { ChangeLatency } from './sync/change-latency.ts';
import { DriftAudit } from './sync/drift-audit.ts';
import { type Kernel, presentTools, statesOf } from './sync/families.ts';
import { FilterCounters } from './sync/filter-counters.ts';
import { LeftOut } from './sync/left-out.ts';
import type { OtherProxyGate } from './sync/other-proxy-gate.ts';
import type { Part } from './sync/part-ownership.ts';
import { SyncLoop, type SyncResult } from './sync/sync-loop.ts';
import { SyncReport } from './sync/sync-report.ts';

export interface AgentLoopsOptions {
  readonly config: RunConfig;
  readonly store: Store;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly events: EventSink;
  readonly kernel: Kernel;
  readonly otherProxy: OtherProxyGate;
  readonly tcpBeLiberal: boolean;
  readonly health: ProxyHealth;
  readonly latency: ChangeLatency;
  readonly diagnostics: DiagnosticLog;
  readonly cniResults: () => readonly CniResult[];
  /** Up to when, by the clock, the store is sure to have the pods that there are. */
  readonly podsAsOf: () => number;
  readonly nodeAddresses: () => readonly string[];
  readonly readiness: Readiness;
}

/** What works from the first complete state on: the sync loop with what follows each sync, the audit, and the UDP flows. */
export class AgentLoops {
  readonly #options: AgentLoopsOptions;
  readonly #services: ServiceController;
  readonly #policies: PolicyController;
  readonly #conntrack: ConntrackController;
  readonly #afterServices: ServiceFollowUp;
  readonly #afterPolicies: PolicyFollowUp;
  readonly #leftovers: LeftoverRemoval;
  readonly #conflicts: ConflictEvents;
  readonly #loop: SyncLoop;
  readonly #audit: DriftAudit;
  readonly #counters: FilterCounters;
  readonly #addresses: AddressWatch;
  readonly #leftOut: LeftOut;

  constructor(options: AgentLoopsOptions) {
    this.#options = options;
    const { config, store, commands, clock, log, metrics, events, diagnostics, nodeAddresses } = options;
    const { kernel } = options;
    const families = kernel.families.map(({ family }) => family);
    this.#services = new ServiceController({
      store,
      config,
      tcpBeLiberal: options.tcpBeLiberal,
      states: statesOf(kernel.families, 'services'),
      interfaceAddresses: nodeAddresses,
    });
    this.#policies = new PolicyController({
      store,
      config,
      states: statesOf(kernel.families, 'policies'),
      cniResults: options.cniResults,
      clock,
      podsAsOf: options.podsAsOf,
    });
    this.#conntrack = new ConntrackController({
      families,
      commands,
      clock,
      log,
      onReconciled: ({ family, durationMs, deleted }) =>
        metrics.node.conntrackReconciled(family, durationMs / 1000, deleted),
    });
    this.#afterServices = new ServiceFollowUp({
      store,
      nodeName: config.nodeName,
      families,
      services: this.#services,
      conntrack: this.#conntrack,
      health: options.health,
      metrics,
      events,
      log,
    });
    this.#afterPolicies = new PolicyFollowUp({
      policies: this.#policies,
      families,
      established: config.policyEstablished,
      stateDir: config.policyClosedStart === 'boot' ? config.stateDir : undefined,
      commands,
      clock,
      log,
      diagnostics,
      metrics: metrics.policy,
      nodeAddresses,
      recheck: () => this.#loop.run(),
    });
    this.#leftovers = new LeftoverRemoval({
      families,
      nodeName: config.nodeName,
      commands: kernel.lookCommands,
      clock,
      log,
      events,
      otherProxy: () => otherProxyPorts([config.healthzBindAddress, config.metricsBindAddress]),
    });
    this.#conflicts = new ConflictEvents(events);
    this.#leftOut = new LeftOut({
      store,
      clock,
      log,
      originsOf: (part, family, element) =>
        (part === 'services' ? this.#services : this.#policies).originsOf(family, element),
      wouldClose: (ip) => this.#policies.wouldClose(ip),
    });
    this.#loop = this.#createLoop();
    this.#audit = this.#createAudit();
    this.#counters = this.#createCounters();
    this.#addresses = this.#createAddressWatch();
    metrics.onScrape(() => this.#counters.refresh());
    metrics.onScrape(() => this.#countRules());
  }

  #has(part: Part): boolean {
    return this.#options.config.parts.includes(part);
  }

  /** Runs until `stop`; each part by its name, for a supervisor. */
  start(): ReadonlyMap<string, Promise<void>> {
    // From here on rules that don't come make the node unhealthy, the very first ones too.
    for (const { family, parts } of this.#options.kernel.families)
      for (const { part, isAbsent } of parts) if (!isAbsent) this.#options.health.started(family, part);
    return new Map([
      ['sync loop', this.#loop.start()],
      ['drift audit', this.#audit.start()],
      ...(this.#has('services') ? [['conntrack', this.#conntrack.start()] as const] : []),
      ['counters', this.#counters.start()],
      ['addresses', this.#addresses.start()],
    ]);
  }

  /** The store or the CNI cache changed. */
  run(): void {
    this.#loop.run();
  }

  /** Service rules may be written again. */
  retryServices(): void {
    const parts = this.#options.kernel.families.flatMap((family) => family.part('services') ?? []);
    this.#loop.recheck('Service rules may be written again', parts);
  }

  /** Whether the rules of the last sync drop what this address sends and gets, because no known pod owns it. */
  isClosed(ip: string): boolean {
    return this.#policies.isClosed(ip);
  }

  /** The first half of stopping: nothing new is begun. */
  stopLooking(): void {
    this.#audit.stop();
    this.#counters.stop();
    this.#addresses.stop();
    this.#afterPolicies.stop();
    this.#leftovers.stop();
  }

  /** A sync in flight may finish within the deadline; after that it is abandoned. Whether it finished. */
  async stop(deadlineMs: number): Promise<boolean> {
    const [finished] = await Promise.all([
      this.#loop.stop(deadlineMs),
      this.#conntrack.stop(deadlineMs),
      this.#afterServices.stop(),
    ]);
    return finished;
  }

  #createLoop(): SyncLoop {
    const { config, store, clock, log, metrics, events, kernel, health, latency } = this.#options;
    const { families } = kernel;
    const report = new SyncReport({
      nodeName: config.nodeName,
      families: families.map(({ family }) => family),
      clock,
      metrics,
      health,
      latency,
      events,
    });
    return new SyncLoop({
      clock,
      log,
      store,
      services: this.#services,
      policies: this.#policies,
      families,
      minSyncPeriodMs: config.iptablesMinSyncPeriod,
      otherProxy: this.#options.otherProxy,
      leftOut: this.#leftOut,
      observer: {
        queued: () => report.queued(),
        began: (dirty) => {
          report.began();
          if (this.#has('services')) this.#afterServices.began(dirty);
        },
        synced: (result) => {
          report.synced(result);
          if (result.part !== 'services') return;
          this.#afterServices.synced(result.family);
          if (result.wasRead) void this.#leftovers.synced(result.family);
        },
        failed: (failure) => report.failed(failure),
      },
      onSynced: (result) => this.#synced(result),
    });
  }

  async #synced({ inForce, read, resync }: SyncResult): Promise<void> {
    const { config, store, diagnostics, readiness, kernel, otherProxy } = this.#options;
    if (resync !== undefined) this.#audit.resynced(resync.what, resync.readMs);
    const conflicts = this.#services.conflictDiagnostics();
    diagnostics.replace('addresses', conflicts);
    diagnostics.replace('the kernel', this.#leftOut.diagnostics());
    this.#conflicts.replace(conflicts);
    diagnostics.replace('node', nodeDiagnostics(store, config.nodeName));
    const states = kernel.families.flatMap((family) => family.parts.map(({ state }) => state));
    diagnostics.replace('held rules', heldDiagnostics(states, config.nodeName));
    this.#reportUnenforceable();
    if (inForce.has('services')) otherProxy.inForce(kernel.families.map(({ family }) => family));
    if (inForce.has('policies'))
      await this.#afterPolicies.synced(this.#policies.localRanges(this.#services.podCIDRs));
    await readiness.synced({ inForce, read, servesLocalhost: this.#services.servesLocalhostNodePorts });
  }

  /** A family that no pod of the node uses has nothing to enforce. */
  #reportUnenforceable(): void {
    const { config, store, kernel, health } = this.#options;
    const isUsed = (family: Family): boolean =>
      store
        .list('Pod')
        .some(
          ({ nodeName, hostNetwork, addresses }) =>
            nodeName === config.nodeName && !hostNetwork && addresses.some((one) => one.family === family),
        );
    // The pods are looked through only where something stands against it: this follows every sync.
    for (const { family, unenforceable } of kernel.families)
      health.setOff(family, unenforceable !== undefined && isUsed(family) ? unenforceable : undefined);
  }

  #createAudit(): DriftAudit {
    const { config, clock, log, metrics, kernel, otherProxy } = this.#options;
    return new DriftAudit({
      clock,
      families: kernel.families,
      changes: kernel.changes,
      canaryKeeper: kernel.canaryKeeper,
      setSizes: (signal) => readSetSizes(kernel.lookCommands, signal),
      syncPeriodMs: config.iptablesSyncPeriod,
      isWatched: (part) => otherProxy.mayWrite(part),
      onSuspicion: (reason, suspects) => this.#loop.recheck(reason, suspects),
      onSetsDue: () => this.#loop.recheckSets(),
      onVerified: (family, part) => metrics.sync.verified(family, part),
      onSignalled: (isSignalled) =>
        log.debug(
          isSignalled
            ? 'every change of the rules is signalled: quick checks only follow one'
            : 'changes of the rules are not signalled: a quick check every 1.5 s',
        ),
      onContest: (moves) => {
        metrics.node.contested();
        log.warn(
          `another agent keeps putting rules in front of Weir's (${moves} times by now): what these accept, no policy sees; Weir moves back less often from now on. Let one of the two be first`,
        );
      },
      onError: (error) => log.warn('the rules in the kernel could not be looked at', { error }),
    });
  }

  #createCounters(): FilterCounters {
    const { clock, kernel, log, metrics } = this.#options;
    const policies = this.#policies;
    const policiesOfChain = () => policies.policiesOfChain();
    const drops = new PolicyDropCounter({ clock, policiesOfChain, metrics: metrics.policy });
    const guard = new GuardDropCounter({
      families: kernel.families.map(({ family }) => family),
      clock,
      log,
      metrics: metrics.policy,
      unowned: () => policies.unownedAddresses(),
      mayBeInForce: policies.isGuarded,
    });
    const packets = new PacketCounter(metrics.packets);
    return new FilterCounters({
      clock,
      commands: kernel.lookCommands,
      parts: this.#options.config.parts,
      tools: () => presentTools(kernel),
      isWorthwhile: () => this.#has('policies') && (policiesOfChain().size > 0 || policies.isGuarded),
      onRead: (saved) => {
        if (this.#has('policies')) {
          drops.read(saved);
          guard.read(saved);
        }
        if (this.#has('services')) packets.read(saved);
      },
      onError: (error) => log.warn('the packets that rules met could not be counted', { error }),
    });
  }

  #createAddressWatch(): AddressWatch {
    const { clock, nodeAddresses } = this.#options;
    return new AddressWatch({
      clock,
      addresses: nodeAddresses,
      used: () => this.#services.interfaceAddresses,
      isWorthwhile: () => this.#services.limitsNodePorts,
      onChange: () => this.#loop.run(),
    });
  }

  #countRules(): void {
    const { kernel, metrics } = this.#options;
    for (const family of kernel.families) {
      if (family.isAbsent) continue;
      const rules = (part: Part, table: TableName): number | undefined =>
        family.part(part)?.state.countDesiredRules(table);
      const count = (table: TableName): RuleCount => ({
        service: rules('services', table),
        policy: rules('policies', table),
      });
      metrics.sync.setRules(family.family, { filter: count('filter'), nat: count('nat') });
    }
  }
}
