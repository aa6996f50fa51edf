import { networkInterfaces } from 'node:os';
import { createSysctl, type Sysctl, setUpBridges, sysctlNames } from '../pkg/apply/index.ts';
import { Store } from '../pkg/cache/index.ts';
import type { RunConfig } from '../pkg/config/index.ts';
import type { Logger } from '../pkg/log/index.ts';
import type { Metrics } from '../pkg/metrics/index.ts';
import {
  type Clock,
  type CommandRunner,
  collectGarbage,
  type Supervisor,
  WeirError,
} from '../pkg/runtime/index.ts';
import {
  type CniCache,
  cniCacheFolders,
  createCniCache,
  type Source,
  type SourceHandler,
} from '../pkg/source/index.ts';
import { AgentLoops } from './agent-loops.ts';
import { DiagnosticLog } from './diagnostic-log.ts';
import type { EventSink } from './events/event-recorder.ts';
import { eventsWithUids } from './events/events-with-uids.ts';
import { knownEvents } from './events/known-events.ts';
import type { HttpServer } from './health/http-server.ts';
import { ProxyHealth } from './health/proxy-health.ts';
import { startServers } from './health/servers.ts';
import { applyConntrackSettings } from './node/conntrack-settings.ts';
import { createInterfaceAddresses } from './node/interface-addresses.ts';
import { checkNode } from './node/node-checks.ts';
import { claimNode, type NodeClaim } from './node/node-claim.ts';
import { closeUnknownPods } from './node/node-set-up.ts';
import { waitForNode } from './node/node-wait.ts';
import { otherProxyPorts } from './node/other-proxy.ts';
import { Readiness } from './node/readiness.ts';
import { BridgeFilter } from './policies/bridge-filter.ts';
import { ChangeLatency } from './sync/change-latency.ts';
import { type Kernel, openKernel, presentFamilies } from './sync/families.ts';
import { OtherProxyGate } from './sync/other-proxy-gate.ts';
import { storeHandler } from './sync/store-handler.ts';

export interface AgentOptions {
  readonly config: RunConfig;
  readonly source: Source;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly events: EventSink;
  readonly supervisor: Supervisor;
  /** Up to when, by the clock, the source is sure to have told all pods that there are; always, unless given. */
  readonly podsAsOf?: () => number;
}

/** How often to look whether another Weir has gone. */
const claimPollMs = 2000;

/** The moving parts of `weir run`, in their order: kernel, other Weir gone, servers, first complete state, then the loops. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #stop = new AbortController();
  readonly #store = new Store();
  readonly #sysctl: Sysctl = createSysctl();
  readonly #diagnostics: DiagnosticLog;
  readonly #health: ProxyHealth;
  readonly #otherProxy: OtherProxyGate;
  #latency: ChangeLatency | undefined;
  #cni: CniCache | undefined;
  #servers: readonly HttpServer[] = [];
  #loops: AgentLoops | undefined;
  #claim: NodeClaim | undefined;
  #watchingOtherProxy: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    const events = eventsWithUids(options.events, this.#store);
    this.#options = { ...options, events };
    const { config, clock, log, metrics } = options;
    this.#diagnostics = new DiagnosticLog(log, (origin, list) => metrics.node.setDiagnostics(origin, list));
    this.#otherProxy = new OtherProxyGate({
      clock,
      log,
      ports: otherProxyPorts,
      onStandBack: (reason) => events.event(knownEvents.otherProxy(config.nodeName, reason)),
    });
    this.#health = new ProxyHealth({
      parts: config.parts,
      clock,
      wallClock: Date.now,
      syncPeriodMs: config.iptablesSyncPeriod,
      standsBack: () => this.#otherProxy.reason,
    });
    metrics.onScrape(() => this.#showHealth());
  }

  /** Services are left to another program otherwise, which has its own ports, settings and rules. */
  get #routesServices(): boolean {
    return this.#options.config.parts.includes('services');
  }

  /** Resolves when everything runs; throws when Weir can't work here. */
  async start(): Promise<void> {
    const { config, source, clock, log, supervisor } = this.#options;
    const { signal } = this.#stop;
    if (config.parts.includes('policies')) this.#cni = this.#createCniCache();
    const [kernel] = await Promise.all([
      this.#prepareKernel(),
      source.start(this.#handler()),
      this.#cni?.start(),
    ]);
    if (config.manifests === undefined) {
      await waitForNode({ store: this.#store, config, clock, log, signal });
      const node = this.#store.get('Node', '', config.nodeName);
      checkNode({ config, node, families: presentFamilies(kernel) }, log);
    }
    const loops = await this.#createLoops(kernel);
    this.#loops = loops;
    if (signal.aborted) return;
    // What was read is decoded: the texts and raw objects are garbage now.
    collectGarbage();
    this.#latency?.start();
    for (const [part, running] of loops.start()) supervisor.watch(part, running);
  }

  /** Finishes or abandons the running sync within the deadline. The rules stay. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    this.#otherProxy.stop();
    this.#loops?.stopLooking();
    await Promise.all([this.#options.source.stop(), this.#cni?.stop()]);
    const finished = (await this.#loops?.stop(deadlineMs)) ?? true;
    // It may be about to start the servers.
    await this.#watchingOtherProxy?.catch(() => undefined);
    await Promise.all(this.#servers.map((server) => server.stop()));
    this.#claim?.release();
    if (!finished)
      this.#options.log.warn('the running sync was abandoned; the next start reads the kernel and goes on');
  }

  async #createLoops(kernel: Kernel): Promise<AgentLoops> {
    const { config, commands, clock, log, metrics, events } = this.#options;
    const families = kernel.families.map(({ family }) => family);
    const present = presentFamilies(kernel);
    const tcpBeLiberal = (await this.#sysctl.read(sysctlNames.tcpBeLiberal)) ?? '0';
    metrics.startFamilies(present);
    this.#latency = new ChangeLatency({
      clock,
      wallClock: Date.now,
      families,
      metrics,
      isClosed: (ip) => this.#loops?.isClosed(ip) === true,
    });
    // Pods of the first state are not new.
    for (const pod of this.#store.list('Pod')) this.#latency.changed(pod);
    return new AgentLoops({
      config,
      store: this.#store,
      commands,
      clock,
      log,
      metrics,
      events,
      kernel,
      otherProxy: this.#otherProxy,
      tcpBeLiberal: tcpBeLiberal !== '0',
      health: this.#health,
      latency: this.#latency,
      diagnostics: this.#diagnostics,
      cniResults: () => this.#cni?.results() ?? [],
      podsAsOf: this.#options.podsAsOf ?? (() => clock.now()),
      nodeAddresses: createInterfaceAddresses(clock),
      readiness: this.#createReadiness(kernel),
    });
  }

  #createReadiness(kernel: Kernel): Readiness {
    const { config, commands, log } = this.#options;
    const bridges = new BridgeFilter({
      setUp: () => setUpBridges(this.#sysctl, commands, presentFamilies(kernel)),
      localPods: () => this.#store.list('Pod').filter((pod) => pod.nodeName === config.nodeName),
      interfaces: networkInterfaces,
      log,
    });
    return new Readiness({
      parts: config.parts,
      bridges,
      sysctl: this.#sysctl,
      log,
      onObstacle: (obstacle) => this.#health.setObstacle(obstacle),
      // A quiet node stays at this size for days.
      onReady: () => collectGarbage(0),
    });
  }

  #showHealth(): void {
    const { node } = this.#options.metrics;
    node.setReady(this.#health.isReady);
    for (const { family, part, state } of this.#health.parts()) node.setPartState(family, part, state);
  }

  #handler(): SourceHandler {
    return storeHandler({
      store: this.#store,
      diagnostics: (origin, list) => this.#diagnostics.replace(origin, list),
      changed: ({ before, after, triggeredAt }) => {
        if (after !== undefined) this.#latency?.changed(after, triggeredAt);
        else if (before !== undefined) this.#latency?.deleted(before.kind, before.namespace, before.name);
        const object = after ?? before;
        if (object?.kind === 'Service' || object?.kind === 'EndpointSlice')
          this.#options.metrics.sync.changed(object.kind);
      },
      settled: () => {
        this.#noteNode();
        this.#loops?.run();
      },
    });
  }

  /** What load balancers must know of the node. A folder of manifests may well have no Node at all. */
  #noteNode(): void {
    const { config } = this.#options;
    if (config.manifests !== undefined || !this.#routesServices) return;
    const node = this.#store.get('Node', '', config.nodeName);
    this.#health.setNode({
      exists: node !== undefined,
      beingDeleted: node?.beingDeleted === true,
      toBeDeletedTaint: node?.toBeDeletedTaint === true,
    });
  }

  async #prepareKernel(): Promise<Kernel> {
    const { config, commands, clock, log } = this.#options;
    const kernel = await openKernel(config, commands, clock, log);
    const families = presentFamilies(kernel);
    if (this.#routesServices)
      await applyConntrackSettings({ config, sysctl: this.#sysctl, log, strict: false });
    for (const problem of await setUpBridges(this.#sysctl, commands, families)) log.debug(problem);
    const { signal } = this.#stop;
    await closeUnknownPods({ config, kernel, clock, log, signal }).catch((error: unknown) =>
      log.error('pod ranges could not be closed before the policies are known; the first sync does it', {
        error,
      }),
    );
    await this.#waitForOtherWeir();
    if (this.#routesServices) await this.#makeWayForOtherProxy();
    else await this.#startServers();
    return kernel;
  }

  /** Another proxy holds the ports of the servers and writes Service rules: both wait until it is gone, and nothing else does. */
  async #makeWayForOtherProxy(): Promise<void> {
    await this.#otherProxy.lookForOther();
    if (this.#otherProxy.reason === undefined) await this.#startServers();
    const onFree = async (): Promise<void> => {
      await this.#startServers();
      this.#loops?.retryServices();
    };
    this.#watchingOtherProxy = this.#otherProxy.start(onFree, () => this.#loops?.retryServices());
    this.#options.supervisor.watch('other proxy', this.#watchingOtherProxy);
  }

  async #startServers(): Promise<void> {
    const { config, metrics, events, clock, log } = this.#options;
    if (this.#stop.signal.aborted) return;
    this.#servers = await startServers({ config, health: this.#health, metrics, events, clock, log });
    events.event(knownEvents.starting(config.nodeName, config.parts));
  }

  #createCniCache(): CniCache {
    const { config, clock, log } = this.#options;
    const { cniCacheDir } = config;
    return createCniCache({
      folders: cniCacheDir === undefined ? cniCacheFolders : [cniCacheDir],
      clock,
      onChange: () => this.#loops?.run(),
      onProblem: (problem) => {
        if (problem === undefined) log.info('the CNI result cache can be read again');
        else if (cniCacheDir === undefined) log.debug(problem);
        else log.warn(problem);
      },
    });
  }

  /** Two of Weir would undo each other's rules for ever. */
  async #waitForOtherWeir(): Promise<void> {
    const { config, clock, log } = this.#options;
    for (let told = false; !this.#stop.signal.aborted; told = true) {
      this.#claim ??= await claimNode(config.parts);
      if (this.#claim !== undefined) return;
      if (!told) log.error('another Weir runs on this node: no rules are written until it is gone');
      await clock.sleep(claimPollMs, this.#stop.signal).catch(() => undefined);
    }
    throw new WeirError('WEIR_OTHER_PROXY', 'stopped while another Weir was still running');
  }
}
