import {
  type Diagnostic,
  type NamespacedName,
  namespacedName,
  type Origin,
  type Pod,
} from '../../pkg/api/index.ts';
import type { Dirty, Store } from '../../pkg/cache/index.ts';
import type { RuleConfig } from '../../pkg/config/index.ts';
import type { KernelElement, RuleState } from '../../pkg/kernel/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import { policyHints } from '../../pkg/policy/decide/index.ts';
import { PolicyRules, type PolicyRulesOptions, type RangeMismatch } from '../../pkg/policy/iptables/index.ts';
import { type Clock, systemClock } from '../../pkg/runtime/index.ts';
import type { CniResult } from '../../pkg/source/index.ts';
import type { ChangedPods, ConnectionWorld } from './connection-cutter.ts';
import { type IgnoredResult, KnownPods, type UnownedAddress } from './known-pods.ts';

export interface PolicyControllerOptions {
  readonly store: Store;
  readonly config: RuleConfig;
  /** One for each family that the node can filter. */
  readonly states: readonly RuleState[];
  /** What the container runtime says of new pods, earlier than the API; the same list while nothing changes. */
  readonly cniResults: () => readonly CniResult[];
  readonly clock?: Pick<Clock, 'now'>;
  /** Milliseconds since 1970; Date.now unless given. */
  readonly wallClock?: () => number;
  /** Up to when, by `clock`, the store is sure to have the pods that there are; always, unless given. */
  readonly podsAsOf?: () => number;
}

/** How many objects were looked at. */
export interface PolicyCounts extends Readonly<Record<string, number>> {
  readonly policies: number;
  readonly pods: number;
  readonly namespaces: number;
}

/** Brings the desired policy rules up to date with the store: for the policies, pods and namespaces that changed. */
export class PolicyController {
  readonly #options: PolicyControllerOptions;
  readonly #rules = new Map<RuleState, PolicyRules>();
  readonly #known: KnownPods;
  #changedPods: Set<string> | 'all' = new Set();
  #hintsAreOutdated = false;

  constructor(options: PolicyControllerOptions) {
    this.#options = options;
    const { store, config, clock = systemClock, wallClock = Date.now } = options;
    const { podsAsOf = () => clock.now() } = options;
    this.#known = new KnownPods({ store, nodeName: config.nodeName, clock, wallClock, podsAsOf });
  }

  /** Takes in what changed. Returns how many objects were looked at. */
  update(dirty: Dirty, podCIDRs: readonly string[]): PolicyCounts {
    const { store, states } = this.#options;
    const isFirst = this.#rules.size === 0;
    const policies = isFirst ? namesOf(store.list('NetworkPolicy')) : dirty.policies;
    const pods = this.#updatePods(isFirst ? namesOf(store.list('Pod')) : dirty.pods);
    const namespaces = isFirst ? store.list('Namespace').map((one) => one.name) : dirty.namespaces;
    if (new Set(policies).size > 0 || new Set(namespaces).size > 0) this.#changedPods = 'all';
    if (this.#changedPods === 'all' || pods.length > 0 || this.#rangesChanged(dirty))
      this.#hintsAreOutdated = true;
    for (const state of states) this.#updateFamily(state, podCIDRs, { policies, pods, namespaces });
    return {
      policies: new Set(policies).size,
      pods: new Set(pods).size,
      namespaces: new Set(namespaces).size,
    };
  }

  /** Ranges of this node's pods: what the Node says, or else the configuration. */
  localRanges(podCIDRs: readonly string[]): readonly string[] {
    return podCIDRs.length > 0 ? podCIDRs : this.#options.config.localPodCidrs;
  }

  /** Which pods' connections may be judged differently since the last call, by their addresses. */
  takeChangedPods(): ChangedPods {
    const changed = this.#changedPods;
    this.#changedPods = new Set();
    return changed;
  }

  /** Whether anything has changed that hints come from, since the last call. */
  takeHintsOutdated(): boolean {
    const areOutdated = this.#hintsAreOutdated;
    this.#hintsAreOutdated = false;
    return areOutdated;
  }

  /** What connections are judged by. */
  world(nodeAddresses: readonly string[]): ConnectionWorld {
    const { store, config } = this.#options;
    return {
      policies: store.list('NetworkPolicy'),
      pods: this.#effectivePods(),
      namespaces: store.list('Namespace'),
      nodeName: config.nodeName,
      nodeAddresses,
    };
  }

  /** Finds which fields of which objects elements of one family come from, for many questions about the rules of the last `update`. */
  originFinder(family: Family): (element: KernelElement) => readonly Origin[] {
    const finders = [...this.#rules]
      .filter(([state]) => state.family === family)
      .map(([, rules]) => rules.originFinder());
    return (element) => finders.flatMap((find) => find(element));
  }

  /** The same for one question. */
  originsOf(family: Family, element: KernelElement): readonly Origin[] {
    return this.originFinder(family)(element);
  }

  /** Which policies each profile's chain comes from. A profile's chain has the same name in both families. */
  policiesOfChain(): ReadonlyMap<string, readonly NamespacedName[]> {
    return new Map([...this.#rules.values()].flatMap((rules) => [...rules.policiesOfChain()]));
  }

  /** Families whose pods' addresses do not follow this node's ranges, as of the last `update`. */
  rangeMismatches(): readonly RangeMismatch[] {
    return [...this.#rules.values()].flatMap((rules) => rules.rangeMismatch() ?? []);
  }

  /** Addresses that the container runtime gave to pods that the API does not know, as of the last `update`. */
  unownedAddresses(): readonly UnownedAddress[] {
    return this.#known.unowned();
  }

  /** Results of the container runtime that count for nothing against what the API says, as of the last `update`. */
  ignoredResults(): readonly IgnoredResult[] {
    return this.#known.ignored();
  }

  /** In how many milliseconds `update` may change rules though nothing has changed; `undefined`: never. */
  recheckInMs(): number | undefined {
    return this.#known.recheckInMs();
  }

  /** Whether the rules of the last `update` drop what this address sends and gets, because no known pod owns it. */
  isClosed(ip: string): boolean {
    return [...this.#rules.values()].some((rules) => rules.isClosed(ip));
  }

  /** Whether the rules of the last `update` drop what this address sends and gets unless a known pod owns it. */
  wouldClose(ip: string): boolean {
    return [...this.#rules.values()].some((rules) => rules.wouldClose(ip));
  }

  /** Whether addresses are closed because no known pod owns them. */
  get isGuarded(): boolean {
    return this.#options.config.policyClosedStart !== 'off' && this.hasPolicies;
  }

  /** Whether any policy exists. */
  get hasPolicies(): boolean {
    return this.#options.store.list('NetworkPolicy').length > 0;
  }

  /** What policies say that probably is not meant. Looks at everything: not for every change. */
  hints(): readonly Diagnostic[] {
    const { store } = this.#options;
    const policies = store.list('NetworkPolicy');
    if (policies.length === 0) return [];
    return policyHints({
      policies,
      pods: this.#effectivePods(),
      namespaces: store.list('Namespace'),
      serviceRanges: serviceRanges(store),
    });
  }

  /** Where the cluster does not name the ranges of its Services, their addresses stand for them. */
  #rangesChanged({ serviceCIDRs, services }: Dirty): boolean {
    if (serviceCIDRs) return true;
    return services.size > 0 && this.#options.store.list('ServiceCIDR').length === 0;
  }

  #effectivePods(): readonly Pod[] {
    const pods = this.#options.store.list('Pod');
    return pods.flatMap((pod) => this.#known.get(namespacedName(pod.namespace, pod.name)) ?? []);
  }

  /** The pods that count differently now, with the addresses that they had and have. */
  #updatePods(names: Iterable<NamespacedName>): readonly NamespacedName[] {
    const candidates = [...names];
    const before = candidates.map((name) => this.#known.get(name));
    const changed = [...this.#known.update(candidates, this.#options.cniResults())];
    const pods = [...before, ...changed.map((name) => this.#known.get(name))];
    for (const { ip } of pods.flatMap((pod) => pod?.addresses ?? [])) {
      if (this.#changedPods !== 'all') this.#changedPods.add(ip);
    }
    return changed;
  }

  #updateFamily(
    state: RuleState,
    podCIDRs: readonly string[],
    changed: {
      readonly policies: Iterable<NamespacedName>;
      readonly pods: Iterable<NamespacedName>;
      readonly namespaces: Iterable<string>;
    },
  ): void {
    const { store } = this.#options;
    const options = this.#rulesOptions(state, podCIDRs);
    let rules = this.#rules.get(state);
    if (rules === undefined) {
      rules = new PolicyRules(state, options);
      this.#rules.set(state, rules);
    } else rules.setOptions(options);
    for (const name of changed.namespaces) rules.setNamespace(name, store.get('Namespace', '', name));
    for (const name of changed.pods) rules.setPod(name, this.#known.get(name));
    for (const name of changed.policies) rules.setPolicy(name, store.byName('NetworkPolicy', name));
    const unowned = this.#known.unowned().map(({ ip }) => ip);
    rules.setUnowned(unowned.filter((ip) => familyOf(ip) === state.family));
    rules.finish();
  }

  #rulesOptions({ family }: RuleState, podCIDRs: readonly string[]): PolicyRulesOptions {
    const { config } = this.#options;
    const ranges = this.localRanges(podCIDRs).filter((cidr) => familyOf(cidr) === family);
    return {
      family,
      nodeName: config.nodeName,
      deny: config.policyDeny,
      established: config.policyEstablished,
      guard: config.policyClosedStart === 'off' ? undefined : { ranges },
      besideProxy: !config.parts.includes('services'),
    };
  }
}

function namesOf(
  objects: readonly { readonly namespace: string; readonly name: string }[],
): NamespacedName[] {
  return objects.map((object) => namespacedName(object.namespace, object.name));
}

/** What is enough to tell a block that was meant for Services; a cluster may have very many. */
const enoughClusterIPs = 1000;

/** The ranges that the cluster names, or else the cluster IPs in use. */
function serviceRanges(store: Store): readonly string[] {
  const ranges = store.list('ServiceCIDR').flatMap((range) => range.cidrs);
  if (ranges.length > 0) return ranges;
  const services = store.list('Service').slice(0, enoughClusterIPs);
  return services.flatMap(({ clusterIPs }) => [
    ...(clusterIPs.IPv4 === undefined ? [] : [`${clusterIPs.IPv4}/32`]),
    ...(clusterIPs.IPv6 === undefined ? [] : [`${clusterIPs.IPv6}/128`]),
  ]);
}
