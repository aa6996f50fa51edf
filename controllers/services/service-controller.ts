import { isDeepStrictEqual } from 'node:util';
import {
  type Diagnostic,
  type EndpointSlice,
  type NamespacedName,
  namespacedName,
  type Origin,
  type Service,
} from '../../pkg/api/index.ts';
import type { Dirty, Store } from '../../pkg/cache/index.ts';
import type { RuleConfig } from '../../pkg/config/index.ts';
import type { KernelElement, RuleState } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import {
  decideService,
  localDetector,
  type NodePortAddresses,
  nodePortAddresses,
  servesLocalhostNodePorts,
  type UdpRouting,
} from '../../pkg/service/decide/index.ts';
import {
  type FrontendConflict,
  type OriginFinder,
  type OriginObjects,
  ServiceRules,
  type ServiceRulesOptions,
} from '../../pkg/service/iptables/index.ts';
import { type NodeView, nodeView } from '../node/node-view.ts';
import { isNodePortAddress, UdpServices } from './udp-services.ts';

export interface ServiceControllerOptions {
  readonly store: Store;
  readonly config: RuleConfig;
  /** Leave INVALID packets alone: the kernel is liberal about TCP windows. */
  readonly tcpBeLiberal: boolean;
  /** One for each family that the node can route. */
  readonly states: readonly RuleState[];
  /** Addresses on the node's interfaces, as they are when asked. */
  readonly interfaceAddresses: () => readonly string[];
}

interface ServiceInput {
  readonly name: NamespacedName;
  readonly service: Service | undefined;
  readonly slices: readonly EndpointSlice[];
}

/**
 * Brings the desired Service rules up to date with the store: for the Services that changed, or for all of them when the
 * node itself did.
 */
export class ServiceController {
  readonly #options: ServiceControllerOptions;
  readonly #rules = new Map<RuleState, ServiceRules>();
  #view: NodeView | undefined;
  /** What each Service was last decided from: the same objects lead to the same rules. */
  readonly #inputs = new Map<NamespacedName, ServiceInput>();
  readonly #udp: ReadonlyMap<Family, UdpServices>;

  constructor(options: ServiceControllerOptions) {
    this.#options = options;
    this.#udp = new Map(options.states.map(({ family }) => [family, new UdpServices(family)]));
  }

  /**
   * Takes in what changed. Returns how many Services were looked at; the addresses on which node ports answer count as one, so that
   * nobody takes what follows them for a repair.
   */
  update(dirty: Dirty): number {
    const { store, config, interfaceAddresses } = this.#options;
    const node = store.get('Node', '', config.nodeName);
    const view = nodeView(config.nodeName, node, interfaceAddresses(), config.bindAddress);
    const before = this.#view;
    this.#view = view;
    const everything = before === undefined || decidesDifferently(before, view);
    if (everything) this.#inputs.clear();
    const names = everything ? new Set([...dirty.services, ...this.#allServices()]) : dirty.services;
    const changed = [...names].flatMap((name) => this.#changedInput(name) ?? []);
    for (const state of this.#options.states) this.#updateFamily(state, view, changed);
    return changed.length + (before !== undefined && this.#movesNodePorts(before, view) ? 1 : 0);
  }

  /**
   * Where the UDP ports of all Services lead, as the rules of the last `update` have it, if that changed since this was last
   * asked for the family. For whoever asks when these rules are in the kernel.
   */
  takeChangedUdp(family: Family): UdpRouting | undefined {
    const frontends = this.#udp.get(family)?.takeChanged();
    if (frontends === undefined || this.#view === undefined) return undefined;
    const addresses = this.nodePortAddresses(family);
    return { frontends, isNodePortAddress: isNodePortAddress(addresses, this.#view.interfaceAddresses) };
  }

  /** Where node ports answer, as the last `update` found the node. */
  nodePortAddresses(family: Family): NodePortAddresses {
    if (this.#view === undefined) return { kind: 'some', addresses: [] };
    return nodePortAddresses(this.#nodePortOptions(), this.#view, family);
  }

  /** Whether node ports answer on some addresses only, so that it matters which ones the node has. */
  get limitsNodePorts(): boolean {
    return this.#options.states.some(({ family }) => this.nodePortAddresses(family).kind === 'some');
  }

  /** The addresses of the node's interfaces, as the last `update` found them. */
  get interfaceAddresses(): readonly string[] {
    return this.#view?.interfaceAddresses ?? [];
  }

  /** Pod ranges that the Node object names. */
  get podCIDRs(): readonly string[] {
    return this.#view?.podCIDRs ?? [];
  }

  /** Whether node ports answer on 127.0.0.1, so that the node must route loopback addresses. */
  get servesLocalhostNodePorts(): boolean {
    return this.#view !== undefined && servesLocalhostNodePorts(this.#nodePortOptions(), this.#view, 'IPv4');
  }

  /** Addresses and ports that more than one Service claims. */
  conflictDiagnostics(): readonly Diagnostic[] {
    return [...this.#rules.values()].flatMap((rules) => rules.conflicts()).map(conflictDiagnostic);
  }

  /** For which service port each per-service chain is. */
  chainOwners(): ReadonlyMap<string, string> {
    const owners = new Map<string, string>();
    for (const rules of this.#rules.values()) {
      for (const [chain, owner] of rules.chainOwners()) owners.set(chain, owner);
    }
    return owners;
  }

  /** The chains and set members of one family that a Service has as it is now. */
  elementsOf(family: Family, service: NamespacedName): readonly KernelElement[] {
    return this.#rulesOf(family).flatMap((rules) => rules.elementsOf(service));
  }

  /** Finds which fields of which objects elements of one family come from, for many questions about the rules of the last `update`. */
  originFinder(family: Family): OriginFinder {
    const objectsOf = (name: NamespacedName): OriginObjects | undefined => {
      const input = this.#inputs.get(name);
      return input?.service && { service: input.service, slices: input.slices };
    };
    const finders = this.#rulesOf(family).map((rules) => rules.originFinder(objectsOf));
    return (element) => finders.flatMap((find) => find(element));
  }

  /** The same for one question. */
  originsOf(family: Family, element: KernelElement): readonly Origin[] {
    return this.originFinder(family)(element);
  }

  #rulesOf(family: Family): readonly ServiceRules[] {
    return [...this.#rules].filter(([state]) => state.family === family).map(([, rules]) => rules);
  }

  #updateFamily(state: RuleState, view: NodeView, inputs: readonly ServiceInput[]): void {
    const options = this.#rulesOptions(state, view);
    let rules = this.#rules.get(state);
    if (rules === undefined) {
      rules = new ServiceRules(state, options);
      this.#rules.set(state, rules);
    } else rules.setOptions(options);
    for (const { name, service, slices } of inputs) {
      const decisions =
        service === undefined ? [] : decideService(service, slices, state.family, view.topology);
      rules.setService(name, decisions);
      this.#udp.get(state.family)?.setService(name, service, slices);
    }
    rules.finish();
  }

  #rulesOptions({ family }: RuleState, view: NodeView): ServiceRulesOptions {
    const { config, tcpBeLiberal } = this.#options;
    return {
      family,
      detector: localDetector(
        {
          detectLocalMode: config.detectLocalMode,
          clusterCIDRs: config.clusterCidr,
          bridgeInterface: config.podBridgeInterface,
          interfaceNamePrefix: config.podInterfaceNamePrefix,
        },
        view.podCIDRs,
        family,
      ),
      masqueradeAll: config.masqueradeAll,
      masqueradeBit: config.iptablesMasqueradeBit,
      tcpBeLiberal,
      nodePorts: nodePortAddresses(this.#nodePortOptions(), view, family),
      localhostNodePorts: servesLocalhostNodePorts(this.#nodePortOptions(), view, family),
      nodeIP: view.nodeIPs[family],
    };
  }

  #movesNodePorts(before: NodeView, after: NodeView): boolean {
    if (isDeepStrictEqual(before.interfaceAddresses, after.interfaceAddresses)) return false;
    const addresses = (view: NodeView): readonly NodePortAddresses[] =>
      this.#options.states.map(({ family }) => nodePortAddresses(this.#nodePortOptions(), view, family));
    return !isDeepStrictEqual(addresses(before), addresses(after));
  }

  #nodePortOptions(): { nodePortAddresses: readonly string[]; localhostNodePorts: boolean } {
    const { config } = this.#options;
    return {
      nodePortAddresses: config.nodeportAddresses,
      localhostNodePorts: config.iptablesLocalhostNodeports,
    };
  }

  /** What the store says of a Service; `undefined` when that is what it said last time. */
  #changedInput(name: NamespacedName): ServiceInput | undefined {
    const { store } = this.#options;
    const before = this.#inputs.get(name);
    const input = {
      name,
      service: store.byName('Service', name),
      slices: store.slicesOf(name),
    };
    if (before !== undefined && sameInput(before, input)) return undefined;
    if (input.service === undefined) this.#inputs.delete(name);
    else this.#inputs.set(name, input);
    return input;
  }

  #allServices(): readonly NamespacedName[] {
    return this.#options.store.list('Service').map((one) => namespacedName(one.namespace, one.name));
  }
}

function sameInput(a: ServiceInput, b: ServiceInput): boolean {
  return (
    a.service === b.service &&
    a.slices.length === b.slices.length &&
    a.slices.every((slice, index) => slice === b.slices[index])
  );
}

function conflictDiagnostic({ holder, loser, what }: FrontendConflict): Diagnostic {
  const [service = ''] = loser.split(':');
  const [namespace = '', name = ''] = service.split('/');
  const message = `${what} is not routed to ${loser}: ${holder} has it already (the first by name keeps it)`;
  return { severity: 'warning', kind: 'Service', namespace, name, field: '', message };
}

/** Interface addresses count for the node ports only, which are rendered anew every time. */
function decidesDifferently(before: NodeView, after: NodeView): boolean {
  const withoutInterfaces = (view: NodeView): unknown => ({ ...view, interfaceAddresses: [] });
  return !isDeepStrictEqual(withoutInterfaces(before), withoutInterfaces(after));
}
