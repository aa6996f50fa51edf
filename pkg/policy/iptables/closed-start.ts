import type { NamespacedName, Pod } from '../../api/index.ts';
import type { RuleState } from '../../kernel/index.ts';
import { type Cidr, cidrContains, type Family, parseAddress, parseCidr } from '../../net/index.ts';
import type { StartGuard } from './guard-rules.ts';
import { addressesOf } from './peer-source.ts';
import { closedAddressesSet, knownPodsSet } from './policy-names.ts';

export interface ClosedStartOptions {
  readonly nodeName: string;
  /** The ranges that this node's pods should have their addresses from; none: nobody says. `undefined`: nothing is closed. */
  readonly guard: StartGuard | undefined;
}

/** An address that is not where its pod's node should have it. */
export interface StrayAddress {
  readonly pod: NamespacedName;
  /** `undefined`: the pod has no node. */
  readonly nodeName: string | undefined;
  readonly ip: string;
}

/** Pods' addresses that do not follow the ranges of this node; at least one of the two is there. */
export interface RangeMismatch {
  readonly family: Family;
  readonly ranges: readonly string[];
  /** A pod that is not of this node has an address in its ranges; the first by name. */
  readonly inside: StrayAddress | undefined;
  /** A pod of this node has an address outside them; the first by name. */
  readonly outside: StrayAddress | undefined;
}

/**
 * What is closed in one family because no known pod owns it, while there are policies.
 *
 * - Ranges: every address of the node's ranges, except those of known pods. Only where addresses follow the ranges. spec.podCIDRs
 *   is what kube-controller-manager allots, and a CNI plugin with address management of its own (Calico, Cilium's cluster pool,
 *   Kube-OVN, whereabouts) may use it on any node: a pod that is not of this node and has an address inside, or one of this node
 *   with an address outside, and no range is closed for as long as there is such a pod.
 * - Single addresses: those that the container runtime of this node gave to pods that nobody knows, outside closed ranges.
 *
 * It depends on the pods that there are, and not on those that there were. A pod that changes costs a look at its own addresses.
 */
export class ClosedStart {
  readonly #state: RuleState;
  readonly #family: Family;
  #options: ClosedStartOptions;
  #ranges: readonly Cidr[];
  /** Addresses of this node's pods. */
  readonly #local = new Map<NamespacedName, readonly string[]>();
  readonly #inside = new Map<NamespacedName, StrayAddress>();
  readonly #outside = new Map<NamespacedName, StrayAddress>();
  /** Given to pods that nobody knows. */
  #unowned: readonly string[] = [];
  #closes: 'nothing' | 'ranges' | 'addresses' = 'nothing';
  /** The set of closed addresses as it was last wanted. */
  #closed: ReadonlySet<string> = new Set();

  constructor(state: RuleState, options: ClosedStartOptions) {
    this.#state = state;
    this.#family = state.family;
    this.#options = options;
    this.#ranges = cidrsOf(options);
  }

  /** Whether all pods have to be set again. */
  setOptions(options: ClosedStartOptions): boolean {
    const before = this.#options;
    this.#options = options;
    const isSame =
      before.nodeName === options.nodeName &&
      before.guard?.ranges.join(' ') === options.guard?.ranges.join(' ');
    if (!isSame) this.#ranges = cidrsOf(options);
    return !isSame;
  }

  /** The pod as it is now; `undefined` when it is gone, or is none that counts. */
  setPod(name: NamespacedName, pod: Pod | undefined): void {
    const addresses = pod === undefined ? [] : addressesOf(pod, this.#family);
    const isLocal = pod?.nodeName === this.#options.nodeName;
    this.#setKnown(name, isLocal ? addresses : []);
    this.#inside.delete(name);
    this.#outside.delete(name);
    if (pod === undefined || this.#ranges.length === 0) return;
    const stray = addresses.find((ip) => this.#isInRanges(ip) !== isLocal);
    if (stray === undefined) return;
    (isLocal ? this.#outside : this.#inside).set(name, { pod: name, nodeName: pod.nodeName, ip: stray });
  }

  /** Addresses that the container runtime of this node gave to pods that nobody knows. */
  setUnowned(addresses: readonly string[]): void {
    this.#unowned = addresses;
  }

  /** Brings the sets up to date. Returns the guard that the forward chain shall have. */
  finish(hasPolicies: boolean): StartGuard | undefined {
    const before = this.#closes;
    this.#closes = this.#decide(hasPolicies);
    const known = knownPodsSet(this.#family);
    if (this.#closes !== before && before === 'ranges') this.#state.removeSet(known.name);
    if (this.#closes !== before && this.#closes === 'ranges') {
      this.#state.defineSet({ ...known, joinLast: true });
      for (const addresses of this.#local.values())
        for (const address of addresses) this.#state.addMember(known.name, address);
    }
    this.#writeClosed(before !== 'nothing');
    if (this.#closes === 'nothing') return undefined;
    return { ranges: this.#closes === 'ranges' ? (this.#options.guard?.ranges ?? []) : [] };
  }

  /** Whether the rules of the last `finish` close the address. */
  isClosed(ip: string): boolean {
    if (this.#closed.has(ip)) return true;
    return this.wouldClose(ip) && ![...this.#local.values()].some((addresses) => addresses.includes(ip));
  }

  /** Whether the rules of the last `finish` close the address unless a known pod owns it. */
  wouldClose(ip: string): boolean {
    return this.#closes === 'ranges' && this.#isInRanges(ip);
  }

  /** `undefined` where addresses follow the ranges, or nothing depends on it. */
  mismatch(): RangeMismatch | undefined {
    const { guard } = this.#options;
    if (this.#closes !== 'addresses' || guard === undefined || !this.#hasStrays()) return undefined;
    const [inside, outside] = [firstByName(this.#inside), firstByName(this.#outside)];
    return { family: this.#family, ranges: guard.ranges, inside, outside };
  }

  #decide(hasPolicies: boolean): 'nothing' | 'ranges' | 'addresses' {
    if (!hasPolicies || this.#options.guard === undefined) return 'nothing';
    return this.#ranges.length === 0 || this.#hasStrays() ? 'addresses' : 'ranges';
  }

  #hasStrays(): boolean {
    return this.#inside.size + this.#outside.size > 0;
  }

  #setKnown(pod: NamespacedName, addresses: readonly string[]): void {
    const before = this.#local.get(pod) ?? [];
    if (addresses.length > 0) this.#local.set(pod, addresses);
    else this.#local.delete(pod);
    if (this.#closes !== 'ranges') return;
    const { name } = knownPodsSet(this.#family);
    for (const address of addresses) this.#state.addMember(name, address);
    for (const address of before) this.#state.removeMember(name, address);
  }

  #writeClosed(isThere: boolean): void {
    const set = closedAddressesSet(this.#family);
    if (this.#closes === 'nothing') {
      if (isThere) this.#state.removeSet(set.name);
      this.#closed = new Set();
      return;
    }
    if (!isThere) this.#state.defineSet(set);
    const before = this.#closed;
    const isDouble = (ip: string): boolean => this.#closes === 'ranges' && this.#isInRanges(ip);
    this.#closed = new Set(this.#unowned.filter((ip) => !isDouble(ip)));
    for (const ip of this.#closed) if (!before.has(ip)) this.#state.addMember(set.name, ip);
    for (const ip of before) if (!this.#closed.has(ip)) this.#state.removeMember(set.name, ip);
  }

  #isInRanges(ip: string): boolean {
    const address = parseAddress(ip);
    return address !== undefined && this.#ranges.some((range) => cidrContains(range, address));
  }
}

function cidrsOf({ guard }: ClosedStartOptions): readonly Cidr[] {
  return (guard?.ranges ?? []).flatMap((range) => parseCidr(range) ?? []);
}

function firstByName(strays: ReadonlyMap<NamespacedName, StrayAddress>): StrayAddress | undefined {
  let first: StrayAddress | undefined;
  for (const stray of strays.values()) if (first === undefined || stray.pod < first.pod) first = stray;
  return first;
}
