import type { Namespace, NamespacedName, NetworkPolicy, Origin, Pod } from '../../api/index.ts';
import { namespacedName } from '../../api/index.ts';
import type { ChainName, KernelElement, RuleState } from '../../kernel/index.ts';
import { isPolicyPod, type Profile, profilesOf } from '../decide/index.ts';
import { ClosedStart, type RangeMismatch } from './closed-start.ts';
import { type ForwardOptions, forwardRules, type PolicyJumpOptions, policyJumps } from './forward-chain.ts';
import { PeerSets } from './peer-sets.ts';
import { addressesOf } from './peer-source.ts';
import { namespaceOf, PodIndex } from './pod-index.ts';
import { forwardChain, stages } from './policy-names.ts';
import { policyOriginFinder } from './policy-origins.ts';
import { type PolicyDeny, ProfileChains } from './profile-chains.ts';
import { type IsolationProfile, ProfileDispatch } from './profile-dispatch.ts';

/** What the rules of one family depend on besides policies, pods and namespaces. */
export interface PolicyRulesOptions extends ForwardOptions, PolicyJumpOptions {
  /** Only pods of this node are isolated; the others are peers. */
  readonly nodeName: string;
  readonly deny: PolicyDeny;
}

/**
 * The policy rules of one family, written into a RuleState: in the filter table only, and nothing while there is no policy.
 * What was said between two calls of `finish` costs what it changed: a pod its sets, a policy the profiles that contain it.
 */
export class PolicyRules {
  readonly #state: RuleState;
  #options: PolicyRulesOptions;
  /** Pods that count and have an address of the family. */
  readonly #pods = new PodIndex();
  readonly #policies = new Map<string, Map<NamespacedName, NetworkPolicy>>();
  readonly #peerSets: PeerSets;
  readonly #chains: ProfileChains;
  readonly #dispatches: readonly ProfileDispatch[];
  readonly #closedStart: ClosedStart;
  /** The pods of this node. */
  readonly #local = new Set<NamespacedName>();
  #isOpen = false;
  /** Pods that may belong to this node, or may have, and whose place must be looked at. */
  readonly #changedPods = new Set<NamespacedName>();
  readonly #changedPolicies = new Set<NamespacedName>();
  #denyChanged = false;

  constructor(state: RuleState, options: PolicyRulesOptions) {
    this.#state = state;
    this.#options = options;
    const { family } = options;
    this.#peerSets = new PeerSets(state, this.#pods);
    this.#chains = new ProfileChains(state, family, this.#peerSets);
    this.#closedStart = new ClosedStart(state, options);
    this.#dispatches = [
      new ProfileDispatch(state, family, 'Egress'),
      new ProfileDispatch(state, family, 'Ingress'),
    ];
  }

  /** The node or the configuration changed; the family never does. */
  setOptions(options: PolicyRulesOptions): void {
    const before = this.#options;
    this.#options = options;
    if (before.deny !== options.deny) this.#denyChanged = true;
    const isOtherNode = before.nodeName !== options.nodeName;
    if (!this.#closedStart.setOptions(options) && !isOtherNode) return;
    for (const namespace of this.#pods.namespaces()) {
      for (const [name, pod] of this.#pods.podsOf(namespace) ?? []) {
        this.#closedStart.setPod(name, pod);
        if (isOtherNode) this.#changedPods.add(name);
      }
    }
  }

  /** The policy as it is now; `undefined` when it is gone. */
  setPolicy(name: NamespacedName, policy: NetworkPolicy | undefined): void {
    const namespace = namespaceOf(name);
    const policies = this.#policies.get(namespace) ?? new Map<NamespacedName, NetworkPolicy>();
    const before = policies.get(name);
    if (before === policy) return;
    if (policy !== undefined) policies.set(name, policy);
    else policies.delete(name);
    if (policies.size > 0) this.#policies.set(namespace, policies);
    else this.#policies.delete(namespace);
    this.#changedPolicies.add(name);
    this.#markMoved(namespace, before, policy);
  }

  /** The pod as it is now; `undefined` when it is gone. */
  setPod(name: NamespacedName, pod: Pod | undefined): void {
    const before = this.#pods.get(name);
    const counts = pod !== undefined && isPolicyPod(pod) && addressesOf(pod, this.#options.family).length > 0;
    const after = counts ? pod : undefined;
    if (before === after) return;
    if (after !== undefined) this.#pods.set(name, after);
    else this.#pods.delete(name);
    this.#peerSets.podChanged(before, after);
    this.#closedStart.setPod(name, after);
    if (this.#isLocal(before) || this.#isLocal(after)) this.#changedPods.add(name);
  }

  /** The namespace as it is now; `undefined` when it is gone. */
  setNamespace(name: string, namespace: Namespace | undefined): void {
    const before = this.#pods.labelsOf(name);
    if (before === namespace?.labels) return;
    this.#pods.setLabels(name, namespace?.labels);
    this.#peerSets.namespaceChanged(name, before);
  }

  /** Addresses of the family that this node's container runtime gave to pods that the API does not know, in the order of the list. */
  setUnowned(addresses: readonly string[]): void {
    this.#closedStart.setUnowned(addresses);
  }

  /** Brings places, profile chains and dispatch up to date; call once after all changes of a sync. */
  finish(): void {
    const isOpen = this.#policies.size > 0;
    if (isOpen && !this.#isOpen) for (const dispatch of this.#dispatches) dispatch.open();
    this.#placePods();
    if (isOpen || this.#isOpen) this.#writeProfiles();
    const guard = this.#closedStart.finish(isOpen);
    if (isOpen)
      this.#state.setChain('filter', forwardChain, forwardRules({ ...this.#options, guard }), stages.forward);
    else if (this.#isOpen) this.#close();
    this.#isOpen = isOpen;
    this.#state.setJumps(isOpen ? policyJumps(this.#options) : []);
    this.#changedPods.clear();
    this.#changedPolicies.clear();
    this.#denyChanged = false;
  }

  /** Which policies each profile's chain comes from. Made when asked for. */
  policiesOfChain(): ReadonlyMap<ChainName, readonly NamespacedName[]> {
    return this.#chains.policiesOfChain();
  }

  /**
   * Finds which fields of which objects a chain, a rule, a set or a member comes from, for many questions about the rules as they are now.
   */
  originFinder(): (element: KernelElement) => readonly Origin[] {
    return policyOriginFinder({
      family: this.#options.family,
      parts: this.#chains.parts(),
      sourceOf: this.#peerSets.sourceOf.bind(this.#peerSets),
      pods: this.#pods,
    });
  }

  /** Whether an address may not talk because no known pod owns it, as of the last `finish`. */
  isClosed(ip: string): boolean {
    return this.#closedStart.isClosed(ip);
  }

  /** Whether an address may not talk unless a known pod owns it, as of the last `finish`. */
  wouldClose(ip: string): boolean {
    return this.#closedStart.wouldClose(ip);
  }

  /** Whether pods' addresses follow the ranges of this node, as of the last `finish`; `undefined`: they do, or nobody asks. */
  rangeMismatch(): RangeMismatch | undefined {
    return this.#closedStart.mismatch();
  }

  #isLocal(pod: Pod | undefined): boolean {
    return pod !== undefined && pod.nodeName === this.#options.nodeName;
  }

  /** Pods that one of the two selects and the other does not change their place. */
  #markMoved(namespace: string, before: NetworkPolicy | undefined, after: NetworkPolicy | undefined): void {
    const pods: Pod[] = [];
    for (const name of this.#local) {
      const pod = namespaceOf(name) === namespace ? this.#pods.get(name) : undefined;
      if (pod !== undefined && !this.#changedPods.has(name)) pods.push(pod);
    }
    if (pods.length === 0) return;
    for (const { direction } of this.#dispatches) {
      const selected = (policy: NetworkPolicy | undefined) =>
        new Set(policy === undefined ? [] : profilesOf(direction, pods, [policy])[0]?.pods);
      const [selectedBefore, selectedAfter] = [selected(before), selected(after)];
      for (const pod of pods)
        if (selectedBefore.has(pod) !== selectedAfter.has(pod)) this.#changedPods.add(nameOf(pod));
    }
  }

  #placePods(): void {
    const here: Pod[] = [];
    for (const name of this.#changedPods) {
      const pod = this.#pods.get(name);
      if (pod !== undefined && this.#isLocal(pod)) {
        here.push(pod);
        this.#local.add(name);
      } else this.#leave(name);
    }
    for (const [namespace, pods] of Map.groupBy(here, (pod) => pod.namespace)) {
      const policies = [...(this.#policies.get(namespace)?.values() ?? [])];
      for (const dispatch of this.#dispatches)
        this.#place(dispatch, pods, profilesOf(dispatch.direction, pods, policies));
    }
  }

  #place(dispatch: ProfileDispatch, pods: readonly Pod[], profiles: readonly Profile[]): void {
    const isolated = new Set<Pod>();
    for (const { key, policies, pods } of profiles) {
      const names = policies.map(nameOf);
      for (const pod of pods) {
        const addresses = addressesOf(pod, this.#options.family);
        dispatch.place(nameOf(pod), { key, policies: names, addresses });
        isolated.add(pod);
      }
    }
    for (const pod of pods) if (!isolated.has(pod)) dispatch.place(nameOf(pod), undefined);
  }

  #leave(pod: NamespacedName): void {
    for (const dispatch of this.#dispatches) dispatch.place(pod, undefined);
    this.#local.delete(pod);
  }

  #writeProfiles(): void {
    for (const dispatch of this.#dispatches) {
      for (const profile of dispatch.profiles()) {
        if (profile.pods.size === 0) this.#chains.remove(profile.names.chain);
        else if (this.#mustWrite(profile))
          this.#chains.write(dispatch.direction, profile, this.#policiesOf(profile), this.#options.deny);
      }
      dispatch.finish();
    }
  }

  #mustWrite({ names, policies }: IsolationProfile): boolean {
    return (
      this.#denyChanged ||
      !this.#chains.has(names.chain) ||
      policies.some((policy) => this.#changedPolicies.has(policy))
    );
  }

  #policiesOf({ policies }: IsolationProfile): readonly NetworkPolicy[] {
    return policies
      .map((name) => this.#policies.get(namespaceOf(name))?.get(name))
      .filter((policy) => policy !== undefined);
  }

  #close(): void {
    this.#state.removeChain('filter', forwardChain);
    for (const dispatch of this.#dispatches) dispatch.close();
  }
}

function nameOf({ namespace, name }: { readonly namespace: string; readonly name: string }): NamespacedName {
  return namespacedName(namespace, name);
}
