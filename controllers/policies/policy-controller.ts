import { type Diagnostic, type NamespacedName, namespacedName, type Pod } from '../../pkg/api/index.ts';
import type { Dirty, Store } from '../../pkg/cache/index.ts';
import type { RuleConfig } from '../../pkg/config/index.ts';
import type { RuleState } from '../../pkg/kernel/index.ts';
import { familyOf } from '../../pkg/net/index.ts';
import { policyHints } from '../../pkg/policy/decide/index.ts';
import { PolicyRules, type PolicyRulesOptions } from '../../pkg/policy/iptables/index.ts';

import type { CniResult } from '../../pkg/source/index.ts';
import type { ChangedPods, ConnectionWorld } from './connection-cutter.ts';
import { KnownPods } from './known-pods.ts';

export interface PolicyControllerOptions {
  readonly store: Store;
  readonly config: RuleConfig;
  /** One for each family that the node can filter. */
  readonly states: readonly RuleState[];
  /** What the container runtime says of new pods, earlier than the API; the same list while nothing changes. */
  readonly cniResults: () => readonly CniResult[];
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

  constructor(options: PolicyControllerOptions) {
    this.#options = options;
    this.#known = new KnownPods({ store: options.store, nodeName: options.config.nodeName });
  }

  /** Takes in what changed. Returns how many objects were looked at. */
  update(dirty: Dirty, podCIDRs: readonly string[]): PolicyCounts {
    const { store, states } = this.#options;
    const isFirst = this.#rules.size === 0;
    const policies = isFirst ? namesOf(store.list('NetworkPolicy')) : dirty.policies;
    const pods = this.#updatePods(isFirst ? namesOf(store.list('Pod')) : dirty.pods);
    const namespaces = isFirst ? store.list('Namespace').map((one) => one.name) : dirty.namespaces;
    if (new Set(policies).size > 0 || new Set(namespaces).size > 0) this.#changedPods = 'all';
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

  /** Which policies each profile's chain comes from. A profile's chain has the same name in both families. */
  policiesOfChain(): ReadonlyMap<string, readonly NamespacedName[]> {
    return new Map([...this.#rules.values()].flatMap((rules) => [...rules.policiesOfChain()]));
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
      guard: config.policyClosedStart === 'off' || ranges.length === 0 ? undefined : { ranges },
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
