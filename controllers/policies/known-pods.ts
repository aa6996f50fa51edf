import {
  equalObjects,
  type NamespacedName,
  namespacedName,
  type Pod,
  type PodAddress,
} from '../../pkg/api/index.ts';
import type { Store } from '../../pkg/cache/index.ts';
import { canonicalAddress, familyOf } from '../../pkg/net/index.ts';
import type { CniResult } from '../../pkg/source/index.ts';

export interface KnownPodsOptions {
  readonly store: Store;
  /** The node whose container runtime writes the CNI results. */
  readonly nodeName: string;
}

/** What the runtime noted when it last gave the pod of this name a network. */
interface Claim {
  readonly pod: NamespacedName;
  readonly result: CniResult;
  /** At most one a family, as the kubelet reports them. */
  readonly addresses: readonly PodAddress[];
}

/**
 * The pods as policies see them: what the API says, with addresses from the CNI result cache, which knows them a second or
 * more earlier. The cache has a say on addresses only:
 *
 * - It gives a pod of the API the addresses that the API does not show yet, when the names agree, and the uids where both
 *   have one.
 * - An address belongs to the newest result that has it. Every other pod of this node that the API still lists with it has
 *   lost it: the runtime gives an address again only after it took it from its former pod. A pod of another node loses it
 *   only to a pod that the API knows as well, since a runtime sometimes forgets to remove a result.
 * - A result whose pod the API does not know gives nobody an address, so that it stays closed; its former owner has lost it.
 *
 * Without results for an address, the API is right, also when two pods are listed with it. What is effective depends on the
 * last word of both sides, never on the order in which the words came (NetworkPolicy enforcers have failed on that:
 * antrea#3467, weave#3177).
 */
export class KnownPods {
  readonly #store: Store;
  readonly #nodeName: string;
  readonly #pods = new Map<NamespacedName, Pod>();
  readonly #effective = new Map<NamespacedName, Pod>();
  readonly #claims = new Map<NamespacedName, Claim>();
  /** Which pods the API lists with an address. */
  readonly #listedBy = new NamesByAddress();
  readonly #claimedBy = new NamesByAddress();
  #results: readonly CniResult[] = [];

  constructor({ store, nodeName }: KnownPodsOptions) {
    this.#store = store;
    this.#nodeName = nodeName;
  }

  /**
   * Takes in the pods that changed in the store, and the newest result of each pod, of which an unchanged list costs
   * nothing. Returns the names of the pods that are effectively others than before, sorted.
   */
  update(dirtyPods: Iterable<NamespacedName>, results: readonly CniResult[]): ReadonlySet<NamespacedName> {
    const affected = new Set<NamespacedName>();
    if (results !== this.#results) this.#takeResults(results, affected);
    for (const name of dirtyPods) this.#takePod(name, affected);
    return new Set([...affected].filter((name) => this.#decide(name)).toSorted());
  }

  /** As of the last update. */
  get(name: NamespacedName): Pod | undefined {
    return this.#effective.get(name);
  }

  #takePod(name: NamespacedName, affected: Set<NamespacedName>): void {
    const [namespace = '', podName = ''] = name.split('/');
    const before = this.#pods.get(name);
    const after = this.#store.get('Pod', namespace, podName);
    if (before !== undefined) this.#listedBy.remove(name, before.addresses);
    if (after === undefined) this.#pods.delete(name);
    else {
      this.#pods.set(name, after);
      this.#listedBy.add(name, after.addresses);
    }
    affected.add(name);
    // Whether other pods lose an address to this one depends on what the API says of this one.
    this.#addConcerned(this.#claims.get(name), affected);
  }

  #takeResults(results: readonly CniResult[], affected: Set<NamespacedName>): void {
    this.#results = results;
    const byPod = new Map(results.map((result) => [namespacedName(result.namespace, result.name), result]));
    for (const [name, claim] of this.#claims) {
      if (byPod.get(name) !== claim.result) this.#replaceClaim(name, byPod.get(name), affected);
    }
    for (const [name, result] of byPod) {
      if (!this.#claims.has(name)) this.#replaceClaim(name, result, affected);
    }
  }

  #replaceClaim(name: NamespacedName, result: CniResult | undefined, affected: Set<NamespacedName>): void {
    const before = this.#claims.get(name);
    this.#addConcerned(before, affected);
    if (before !== undefined) this.#claimedBy.remove(name, before.addresses);
    this.#claims.delete(name);
    if (result === undefined) return;
    const claim = { pod: name, result, addresses: podAddresses(result) };
    this.#claims.set(name, claim);
    this.#claimedBy.add(name, claim.addresses);
    this.#addConcerned(claim, affected);
  }

  /** Those whose addresses can depend on a claim: its own pod, and all that have one of its addresses from either side. */
  #addConcerned(claim: Claim | undefined, affected: Set<NamespacedName>): void {
    if (claim === undefined) return;
    affected.add(claim.pod);
    for (const { ip } of claim.addresses) {
      for (const name of this.#listedBy.of(ip)) affected.add(name);
      for (const name of this.#claimedBy.of(ip)) affected.add(name);
    }
  }

  /** Whether the pod is another than before. */
  #decide(name: NamespacedName): boolean {
    const before = this.#effective.get(name);
    const pod = this.#pods.get(name);
    const after = pod && this.#correctAddresses(name, pod);
    if (after === undefined) this.#effective.delete(name);
    else this.#effective.set(name, after);
    return before === undefined || after === undefined ? before !== after : !equalObjects(before, after);
  }

  #correctAddresses(name: NamespacedName, pod: Pod): Pod {
    if (!isPodOfNetwork(pod)) return pod;
    const claim = this.#claims.get(name);
    const own = claim !== undefined && this.#isClaimOf(claim, pod) ? claim : undefined;
    const kept = pod.addresses.filter(({ ip }) => !this.#hasLost(pod, own, ip));
    const early = (own?.addresses ?? []).filter(
      ({ ip, family }) => !kept.some((address) => address.family === family) && this.#owner(ip) === own,
    );
    if (early.length === 0 && kept.length === pod.addresses.length) return pod;
    return { ...pod, addresses: [...kept, ...early] };
  }

  #hasLost(pod: Pod, own: Claim | undefined, ip: string): boolean {
    const owner = this.#owner(ip);
    if (owner === undefined || owner === own) return false;
    return pod.nodeName === this.#nodeName || this.#isConfirmed(owner, ip);
  }

  /** The claim of the pod that was given the address last. */
  #owner(ip: string): Claim | undefined {
    let newest: Claim | undefined;
    for (const name of this.#claimedBy.of(ip)) {
      const claim = this.#claims.get(name);
      if (claim !== undefined && (newest === undefined || isNewer(claim, newest))) newest = claim;
    }
    return newest;
  }

  /** Whether the API knows the claim's pod, and nothing it says contradicts the claim. */
  #isConfirmed(claim: Claim, ip: string): boolean {
    const pod = this.#pods.get(claim.pod);
    if (pod === undefined || !isPodOfNetwork(pod) || !this.#isClaimOf(claim, pod)) return false;
    const listed = pod.addresses.find(({ family }) => family === familyOf(ip));
    return listed === undefined || listed.ip === ip;
  }

  /** Names are used again, so without two uids to compare it must at least be a pod of this node. */
  #isClaimOf({ result }: Claim, pod: Pod): boolean {
    if (result.uid !== '' && pod.uid !== '') return result.uid === pod.uid;
    return pod.nodeName === this.#nodeName;
  }
}

/** Whether it can have an address of its own now: a completed pod has given it back, which only the API knows. */
function isPodOfNetwork(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
}

/** Files of one tick of the file system's clock have the same time: some order, but always the same. */
function isNewer({ result: a }: Claim, { result: b }: Claim): boolean {
  return a.addedNs === b.addedNs ? a.containerId > b.containerId : a.addedNs > b.addedNs;
}

/** The first of each family, as the kubelet chooses; what is not an address of a pod is left out. */
function podAddresses(result: CniResult): readonly PodAddress[] {
  const addresses: PodAddress[] = [];
  for (const text of result.addresses) {
    const ip = canonicalAddress(text);
    const family = ip === undefined ? undefined : familyOf(ip);
    if (ip === undefined || family === undefined || isNodeLocal(ip)) continue;
    if (!addresses.some((earlier) => earlier.family === family)) addresses.push({ family, ip });
  }
  return addresses;
}

/** Loopback, unspecified and link-local addresses, which many pods have at once. */
function isNodeLocal(ip: string): boolean {
  return /^(?:127\.|0\.|169\.254\.|fe[89ab].:|::1?$)/.test(ip);
}

class NamesByAddress {
  readonly #names = new Map<string, Set<NamespacedName>>();

  add(name: NamespacedName, addresses: readonly PodAddress[]): void {
    for (const { ip } of addresses) {
      const names = this.#names.get(ip);
      if (names === undefined) this.#names.set(ip, new Set([name]));
      else names.add(name);
    }
  }

  remove(name: NamespacedName, addresses: readonly PodAddress[]): void {
    for (const { ip } of addresses) {
      const names = this.#names.get(ip);
      names?.delete(name);
      if (names?.size === 0) this.#names.delete(ip);
    }
  }

  of(ip: string): Iterable<NamespacedName> {
    return this.#names.get(ip) ?? [];
  }
}
