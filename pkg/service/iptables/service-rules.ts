import type { NamespacedName } from '../../api/index.ts';
import type { KernelElement, RuleState } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import type { LocalDetector, NodePortAddresses, ServicePortDecision } from '../decide/index.ts';
import { addressPrefixMatches, nodePortPrefixMatches } from './dispatch-keys.ts';
import { DispatchTree, type DispatchTreeOptions } from './dispatch-tree.ts';
import { type FrontendConflict, Frontends } from './frontends.ts';
import { type ServiceFragment, serviceFragment, stages } from './service-fragment.ts';
import { serviceJumps } from './service-jumps.ts';
import { chains, type ServiceSets, serviceSets, treeChain } from './service-names.ts';
import { type OriginFinder, type OriginObjects, serviceOriginFinder } from './service-origins.ts';
import {
  nodePortEntry,
  offClusterMasquerade,
  type StaticRulesOptions,
  staticChains,
} from './static-chains.ts';

/** What the rules of one family depend on besides Services: the node and the configuration. */
export interface ServiceRulesOptions {
  readonly family: Family;
  readonly detector: LocalDetector | undefined;
  readonly masqueradeAll: boolean;
  /** 0–31. */
  readonly masqueradeBit: number;
  readonly tcpBeLiberal: boolean;
  readonly nodePorts: NodePortAddresses;
  readonly localhostNodePorts: boolean;
  readonly nodeIP: string | undefined;
}

interface RenderedPort {
  readonly id: string;
  readonly protocol: ServicePortDecision['port']['protocol'];
  readonly nodePort: number;
  readonly fragment: ServiceFragment;
}

/**
 * The Service rules of one family, written into a RuleState. Keeps what it wrote for each Service, so that a change costs as
 * much as the Services that changed, not as all of them.
 */
export class ServiceRules {
  readonly #state: RuleState;
  readonly #sets: ServiceSets;
  #options: ServiceRulesOptions;
  readonly #services = new Map<NamespacedName, readonly RenderedPort[]>();
  readonly #addresses: DispatchTree;
  readonly #nodePorts: DispatchTree;
  readonly #frontends: Frontends;
  #addressRules = '';
  #nodePortRules = '';

  constructor(state: RuleState, options: ServiceRulesOptions) {
    this.#state = state;
    this.#options = options;
    this.#sets = serviceSets(options.family);
    this.#addresses = this.#tree('addresses', (prefix) => addressPrefixMatches(options.family, prefix));
    this.#nodePorts = this.#tree('node-ports', nodePortPrefixMatches);
    this.#frontends = new Frontends(options.family, this.#addresses, this.#nodePorts);
    for (const spec of Object.values(this.#sets) as readonly ServiceSets[keyof ServiceSets][])
      state.defineSet(spec);
  }

  /** The node or the configuration changed. All Services must be set again if `detector` or `nodeIP` differ. */
  setOptions(options: ServiceRulesOptions): void {
    this.#options = options;
  }

  /** What is decided for a Service now; an empty list when it is gone. */
  setService(service: NamespacedName, decisions: readonly ServicePortDecision[]): void {
    const context = { ...this.#options, sets: this.#sets };
    const before = this.#services.get(service) ?? [];
    const after = decisions.map((decision): RenderedPort => {
      const { id, protocol, nodePort } = decision.port;
      return { id, protocol, nodePort, fragment: serviceFragment(decision, context) };
    });
    // First in, then out: what both hold never leaves the state.
    for (const port of after) this.#enter(port);
    const names = new Set(after.flatMap((port) => port.fragment.chains.map((chain) => chain.name)));
    const claims = new Set(after.flatMap(claimsOf));
    for (const port of before) this.#leave(port, names, claims);
    if (after.length > 0) this.#services.set(service, after);
    else this.#services.delete(service);
  }

  /** Brings dispatch and static chains up to date; call once after all `setService` of a sync. */
  finish(): void {
    const options: StaticRulesOptions = {
      ...this.#options,
      sets: this.#sets,
      masqueradeMark: 2 ** this.#options.masqueradeBit,
    };
    this.#addressRules = this.#updateTree(this.#addresses) ?? this.#addressRules;
    this.#nodePortRules = this.#updateTree(this.#nodePorts) ?? this.#nodePortRules;
    for (const chain of staticChains(options)) {
      this.#state.setChain(chain.table, chain.name, chain.rules, stages.static);
    }
    this.#state.setChain('nat', chains.nodePorts, this.#nodePortRules, stages.entry - 1);
    const early = offClusterMasquerade(options);
    const dispatch = [early ?? '', this.#addressRules, nodePortEntry(options)].filter((part) => part !== '');
    this.#state.setChain('nat', chains.services, dispatch.join('\n'), stages.entry, early);
    this.#state.setJumps(serviceJumps(options.localhostNodePorts));
  }

  /** Addresses and ports that more than one Service claims. */
  conflicts(): readonly FrontendConflict[] {
    return this.#frontends.conflicts();
  }

  /** For which service port each per-service chain is: `namespace/name:port`. Made when asked for. */
  chainOwners(): ReadonlyMap<string, string> {
    const owners = new Map<string, string>();
    for (const ports of this.#services.values()) {
      for (const port of ports) for (const chain of port.fragment.chains) owners.set(chain.name, port.id);
    }
    return owners;
  }

  /** The chains and set members that a Service has as it is now. */
  elementsOf(service: NamespacedName): readonly KernelElement[] {
    return (this.#services.get(service) ?? []).flatMap(({ fragment }) => [
      ...fragment.chains.map(({ name }) => ({ kind: 'chain', table: 'nat', chain: name }) as const),
      ...fragment.members.map(([set, member]) => ({ kind: 'member', set, member }) as const),
    ]);
  }

  /**
   * Finds which fields of which objects a chain, a rule or a set member comes from, for many questions about the rules as they are now.
   * `objectsOf`: what a Service was last set from; `undefined` when it is gone.
   */
  originFinder(objectsOf: (service: NamespacedName) => OriginObjects | undefined): OriginFinder {
    return serviceOriginFinder(this.#services, objectsOf, this.#sets);
  }

  #tree(name: string, matchesOf: DispatchTreeOptions['matchesOf']): DispatchTree {
    const root = name === 'addresses' ? chains.services : chains.nodePorts;
    return new DispatchTree({
      chainOf: (prefix) => treeChain(name, prefix),
      matchesOf,
      wasSplit: (chain) => this.#state.appliedChain('nat', chain ?? root)?.includes('-j KUBE-SVC-t') ?? false,
    });
  }

  #updateTree(tree: DispatchTree): string | undefined {
    const change = tree.update();
    for (const chain of change?.chains ?? []) {
      if (chain.rules === undefined) this.#state.removeChain('nat', chain.name);
      else this.#state.setChain('nat', chain.name, chain.rules, stages.tree - chain.depth);
    }
    return change?.rootRules;
  }

  #enter({ id, protocol, nodePort, fragment }: RenderedPort): void {
    for (const chain of fragment.chains) this.#state.setChain('nat', chain.name, chain.rules, chain.stage);
    for (const frontend of fragment.frontends) this.#frontends.claimAddress(id, frontend);
    if (fragment.nodePortTarget !== undefined) {
      this.#frontends.claimNodePort(id, { protocol, port: nodePort, target: fragment.nodePortTarget });
    }
    for (const [set, member] of fragment.members) this.#state.addMember(set, member);
  }

  #leave(port: RenderedPort, chainsThatStay: ReadonlySet<string>, claimsThatStay: ReadonlySet<string>): void {
    const { id, protocol, nodePort, fragment } = port;
    for (const chain of fragment.chains) {
      if (!chainsThatStay.has(chain.name)) this.#state.removeChain('nat', chain.name);
    }
    for (const frontend of fragment.frontends) {
      if (!claimsThatStay.has(addressClaim(id, frontend))) this.#frontends.releaseAddress(id, frontend);
    }
    if (fragment.nodePortTarget !== undefined && !claimsThatStay.has(nodePortClaim(port))) {
      this.#frontends.releaseNodePort(id, { protocol, port: nodePort });
    }
    for (const [set, member] of fragment.members) this.#state.removeMember(set, member);
  }
}

function claimsOf(port: RenderedPort): readonly string[] {
  const addresses = port.fragment.frontends.map((frontend) => addressClaim(port.id, frontend));
  return port.fragment.nodePortTarget === undefined ? addresses : [...addresses, nodePortClaim(port)];
}

function addressClaim(id: string, { ip, protocol, port }: ServiceFragment['frontends'][number]): string {
  return `${id} ${ip} ${protocol} ${port}`;
}

function nodePortClaim({ id, protocol, nodePort }: RenderedPort): string {
  return `${id} node ${protocol} ${nodePort}`;
}
