import { networkInterfaces } from 'node:os';
import { createSysctl, type Sysctl, setUpBridges, sysctlNames } from '../pkg/apply/index.ts';
import { Store } from '../pkg/cache/index.ts';
import type { RunConfig } from '../pkg/config/index.ts';
import type { Logger } from '../pkg/log/index.ts';
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
import { closeAtBoot, readBootState } from './boot-guard.ts';
import { BridgeFilter } from './bridge-filter.ts';
import { DiagnosticLog } from './diagnostic-log.ts';
import { DriftAudit } from './drift-audit.ts';
import { type Kernel, openKernel } from './families.ts';
import { interfaceAddresses } from './interface-addresses.ts';
import { claimNode, type NodeClaim } from './node-claim.ts';
import { nodeDiagnostics } from './node-diagnostic.ts';
import { otherProxyPorts } from './other-proxy.ts';
import { PolicyController } from './policy-controller.ts';
import { PolicyFollowUp } from './policy-follow-up.ts';
import { ServiceController } from './service-controller.ts';
import { SyncLoop } from './sync-loop.ts';

export interface AgentOptions {
  readonly config: RunConfig;
  readonly source: Source;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Logger;
  readonly supervisor: Supervisor;
}

/** How often to look whether another proxy has gone. */
const otherProxyPollMs = 2000;

/** The moving parts of `weir run`, in their order: kernel, other proxy gone, first complete state, then the loops. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #stop = new AbortController();
  readonly #store = new Store();
  readonly #sysctl: Sysctl = createSysctl();
  #bridges: BridgeFilter | undefined;
  #cni: CniCache | undefined;
  #followUp: PolicyFollowUp | undefined;
  #loop: SyncLoop | undefined;
  #audit: DriftAudit | undefined;
  #claim: NodeClaim | undefined;
  #otherProxy = false;
  #ready = false;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** Resolves when everything runs; throws when Weir can't work here. */
  async start(): Promise<void> {
    const { source, supervisor } = this.#options;
    this.#cni = this.#createCniCache();
    const [kernel] = await Promise.all([
      this.#prepareKernel(),
      source.start(this.#handler()),
      this.#cni.start(),
    ]);
    const loop = await this.#createLoop(kernel);
    this.#loop = loop;
    if (this.#stop.signal.aborted) return;
    // What was read is decoded: the texts and raw objects are garbage now.
    collectGarbage();
    supervisor.watch('sync loop', loop.start());
    if (this.#audit !== undefined) supervisor.watch('drift audit', this.#audit.start());
  }

  /** Finishes or abandons the running sync within the deadline. The rules stay. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    this.#audit?.stop();
    this.#followUp?.stop();
    await Promise.all([this.#options.source.stop(), this.#cni?.stop()]);
    const finished = (await this.#loop?.stop(deadlineMs)) ?? true;
    this.#claim?.release();
    if (!finished)
      this.#options.log.warn('the running sync was abandoned; the next start reads the kernel and goes on');
  }

  async #createLoop({ families }: Kernel): Promise<SyncLoop> {
    const { config, clock, log } = this.#options;
    const tcpBeLiberal = (await this.#sysctl.read(sysctlNames.tcpBeLiberal)) ?? '0';
    const services = new ServiceController({
      store: this.#store,
      config,
      tcpBeLiberal: tcpBeLiberal !== '0',
      states: families.map((family) => family.state),
      interfaceAddresses,
    });
    const policies = new PolicyController({
      store: this.#store,
      config,
      states: families.map((family) => family.state),
      cniResults: () => this.#cni?.results() ?? [],
    });
    const followUp = new PolicyFollowUp({
      policies,
      families: families.map((family) => family.state.family),
      established: config.policyEstablished,
      stateDir: config.policyClosedStart === 'boot' ? config.stateDir : undefined,
      commands: this.#options.commands,
      clock,
      log,
      nodeAddresses: interfaceAddresses,
    });
    this.#followUp = followUp;
    const conflicts = new DiagnosticLog(log);
    const loop = new SyncLoop({
      clock,
      log,
      store: this.#store,
      services,
      policies,
      families,
      minSyncPeriodMs: config.iptablesMinSyncPeriod,
      mayWrite: () => !this.#otherProxy,
      onOtherProxy: (message) => this.#standBack(message),
      onSynced: async (readMs) => {
        if (readMs !== undefined) this.#audit?.looked(readMs);
        conflicts.replace('addresses', services.conflictDiagnostics());
        conflicts.replace('node', nodeDiagnostics(this.#store, config.nodeName));
        await followUp.synced(policies.localRanges(services.podCIDRs));
        await this.#afterSync(services, readMs !== undefined);
      },
    });
    this.#audit = new DriftAudit({
      clock,
      families,
      syncPeriodMs: config.iptablesSyncPeriod,
      onSuspicion: (reason) => loop.recheck(reason),
      onContest: (moves) =>
        log.warn(
          `another agent keeps putting rules in front of Weir's (${moves} times by now): what these accept, no policy sees; Weir moves back less often from now on. Let one of the two be first`,
        ),
      onError: (error) => log.warn('the rules in the kernel could not be looked at', { error }),
    });
    return loop;
  }

  async #afterSync(services: ServiceController, hasRead: boolean): Promise<void> {
    // Only behind the guard that the rules just got: else neighbours could reach the node's loopback (CVE-2020-8558).
    if (services.servesLocalhostNodePorts) await this.#sysctl.ensure(sysctlNames.routeLocalnet, '1');
    const bridgesAreRight = hasRead || !this.#ready ? await this.#bridges?.ensure() : undefined;
    if (this.#ready || bridgesAreRight === false) return;
    this.#ready = true;
    this.#options.log.info('ready: every Service is in the kernel');
    collectGarbage();
  }

  #handler(): SourceHandler {
    const store = this.#store;
    const diagnostics = new DiagnosticLog(this.#options.log);
    return {
      upsert: (object) => {
        store.upsert(object);
      },
      delete: (kind, namespace, name) => {
        store.remove(kind, namespace, name);
      },
      synced: () => store.markSynced(),
      diagnostics: (origin, list) => diagnostics.replace(origin, list),
      settled: () => this.#loop?.run(),
    };
  }

  async #prepareKernel(): Promise<Kernel> {
    const { config, commands, clock, log } = this.#options;
    const kernel = await openKernel(config.iptablesBackend, commands, clock, log);
    await this.#setUpNode(kernel);
    await this.#closeAtBoot(kernel);
    await this.#waitForOtherProxy();
    return kernel;
  }

  /** Policies hold from the first packet of the node on, although nobody knows yet what they say. */
  async #closeAtBoot({ families }: Kernel): Promise<void> {
    const { config, log } = this.#options;
    if (config.policyClosedStart !== 'boot') return;
    const state = await readBootState(config.stateDir);
    if (state === undefined) return;
    const closed = await closeAtBoot(families, state, this.#stop.signal);
    if (closed.length > 0)
      log.info(`${closed.join(' and ')} pod ranges are closed until the policies are known`);
  }

  #createCniCache(): CniCache {
    const { config, clock, log } = this.#options;
    const { cniCacheDir } = config;
    return createCniCache({
      folders: cniCacheDir === undefined ? cniCacheFolders : [cniCacheDir],
      clock,
      onChange: () => this.#loop?.run(),
      onProblem: (problem) => {
        if (problem === undefined) log.info('the CNI result cache can be read again');
        else if (cniCacheDir === undefined) log.debug(problem);
        else log.warn(problem);
      },
    });
  }

  async #setUpNode({ tools }: Kernel): Promise<void> {
    const { config, commands, log } = this.#options;
    const families = tools.families.map((family) => family.family);
    this.#bridges = new BridgeFilter({
      setUp: () => setUpBridges(this.#sysctl, commands, families),
      localPods: () => this.#store.list('Pod').filter((pod) => pod.nodeName === config.nodeName),
      interfaces: networkInterfaces,
      log,
    });
    for (const problem of await this.#bridges.prepare()) log.debug(problem);
    if (config.conntrackTcpBeLiberal) await this.#sysctl.ensure(sysctlNames.tcpBeLiberal, '1');
  }

  /** Two proxies would undo each other's rules for ever. */
  async #waitForOtherProxy(): Promise<void> {
    const { clock, log } = this.#options;
    for (let told = false; !this.#stop.signal.aborted; told = true) {
      const ports = await otherProxyPorts();
      if (ports.length === 0) this.#claim = await claimNode();
      if (this.#claim !== undefined) return;
      const who = ports.length === 0 ? 'another Weir' : `another proxy (port ${ports.join(' and ')} answers)`;
      if (!told) log.error(`${who} runs on this node: no rules are written until it is gone`);
      await clock.sleep(otherProxyPollMs, this.#stop.signal).catch(() => undefined);
    }
    throw new WeirError('WEIR_OTHER_PROXY', 'stopped while another proxy was still running');
  }

  #standBack(message: string): void {
    this.#otherProxy = true;
    this.#options.log.error(
      `${message}: Weir stops writing Service rules; end the other proxy, then restart Weir`,
    );
  }
}
