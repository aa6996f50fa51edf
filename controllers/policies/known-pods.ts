import { equalObjects, type NamespacedName, type Pod, type PodAddress } from '../../pkg/api/index.ts';
import type { Store } from '../../pkg/cache/index.ts';
import { familyOf } from '../../pkg/net/index.ts';
import { isPolicyPod } from '../../pkg/policy/decide/index.ts';
import type { Clock } from '../../pkg/runtime/index.ts';
import type { CniResult } from '../../pkg/source/index.ts';
import { AddressClaims, type Claim, isNewer } from './address-claims.ts';
import { NamesByAddress } from './names-by-address.ts';

export interface KnownPodsOptions {
  readonly store: Store;
  /** The node whose container runtime writes the CNI results. */
  readonly nodeName: string;
  readonly clock: Pick<Clock, 'now'>;
  /** Milliseconds since 1970, as the file system of the results counts them. */
  readonly wallClock: () => number;
  /** Up to when, by `clock`, the store is sure to have the pods that the API has. */
  readonly podsAsOf: () => number;
}

/** An address that the runtime gave to a pod, while no pod that the API knows owns it. */
export interface UnownedAddress {
  readonly ip: string;
  /** The pod of the result. */
  readonly pod: NamespacedName;
}

/** A result that says otherwise than the API, and in vain. */
export interface IgnoredResult extends UnownedAddress {
  /** Who keeps the address. */
  readonly owner: NamespacedName;
  readonly containerId: string;
}

/**
 * What the API says of a result. `confirmed`: its pod is there, and has the address, or none of the family yet. `contradicted`: the pod is
 * there and has another. `unconfirmed`: either nothing or a contradiction, and there may be more to come; `unknown`: nothing, for
 * good. `void`: the pod can have no address.
 */
type Standing = 'confirmed' | 'unconfirmed' | 'contradicted' | 'unknown' | 'void';

/**
 * So much later the API knows every pod that the runtime started: the kubelet itself heard of the pod from the API, and reports
 * another address within seconds.
 */
const confirmedWithinMs = 30_000;
/** How soon to look again for the word of an API that is late. */
const lateMs = 5000;

/**
 * The pods as policies see them: what the API says, with addresses from the CNI result cache, which knows them a second or
 * more earlier. The cache has a say on addresses only:
 *
 * - It gives a pod of the API the addresses that the API does not show yet, when the names agree, and the uids where both
 *   have one.
 * - It takes an address from a pod that the API still lists with it, of this node or another, when it was given to another pod since:
 *   the runtime gives an address again only after it took it from its former pod.
 * - A result whose pod the API does not know gives nobody an address, so that it stays closed.
 *
 * But results can be stale: a runtime sometimes forgets to remove one, and the clock that dated it may have been wrong. So against a pod
 * that the API lists with the address
 *
 * - a result is nothing whose pod has completed, or is on the network of the node: the API knows better;
 * - a result that the API confirms (it knows the pod, with that address or with none of the family) wins, unless the listed pod has a
 *   newer result of its own;
 * - any other result wins for half a minute, from the time of its file on (or, if that is in the future, since it was first seen), but
 *   not over a pod whose own result, the newest of its name, has the address, too: those are two witnesses against one. Then
 *   it loses: the API would know the pod by now. Time in which the API was not heard does not count, so that an address which is
 *   used again during an outage is never open to its former pod;
 * - after that time, a result that contradicts the API on a pod of this node, which has another address there, still wins over pods of this
 *   node without such a result: both may be what a kubelet said before it lost the API.
 *
 * Of two results the newer has the address. Without any, the API is right, also when two pods are listed with it. What is
 * effective depends on the last word of both sides and its age, never on the order in which the words came (NetworkPolicy
 * enforcers have failed on that: antrea#3467, weave#3177).
 */
export class KnownPods {
  readonly #options: KnownPodsOptions;
  readonly #pods = new Map<NamespacedName, Pod>();
  readonly #effective = new Map<NamespacedName, Pod>();
  readonly #claims: AddressClaims;
  /** Which pods the API lists with an address. */
  readonly #listedBy = new NamesByAddress();
  /** Pods whose addresses depend on a result that the API may yet confirm, with when it has had its time. */
  readonly #waiting = new Map<NamespacedName, number>();
  /** Of pods that keep an address against results. */
  readonly #ignored = new Map<NamespacedName, readonly IgnoredResult[]>();

  constructor(options: KnownPodsOptions) {
    this.#options = options;
    this.#claims = new AddressClaims(options);
  }

  /**
   * Takes in the pods that changed in the store, and the newest result of each pod, of which an unchanged list costs
   * nothing. Returns the names of the pods that are effectively others than before, sorted.
   */
  update(dirtyPods: Iterable<NamespacedName>, results: readonly CniResult[]): ReadonlySet<NamespacedName> {
    const affected = new Set<NamespacedName>(this.#waiting.keys());
    for (const claim of this.#claims.take(results)) this.#addConcerned(claim, affected);
    for (const name of dirtyPods) this.#takePod(name, affected);
    return new Set([...affected].filter((name) => this.#decide(name)).toSorted());
  }

  /** As of the last update. */
  get(name: NamespacedName): Pod | undefined {
    return this.#effective.get(name);
  }

  /** Addresses that the runtime gave to pods, and that no pod that counts has, as of the last update; sorted by pod. */
  unowned(): readonly UnownedAddress[] {
    return this.#claims
      .all()
      .flatMap(({ pod, addresses }) =>
        addresses.filter(({ ip }) => !this.#isOwned(ip)).map(({ ip }) => ({ ip, pod })),
      );
  }

  /** Results that take no address from the pod that the API lists with it, as of the last update; sorted by that pod. */
  ignored(): readonly IgnoredResult[] {
    return [...this.#ignored].toSorted(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, ignored]) => ignored);
  }

  /** In how many milliseconds `update` may say something else though nothing changes; `undefined`: never. */
  recheckInMs(): number | undefined {
    if (this.#waiting.size === 0) return undefined;
    const now = this.#options.clock.now();
    return Math.min(...Array.from(this.#waiting.values(), (due) => (due > now ? due - now : lateMs)));
  }

  #takePod(name: NamespacedName, affected: Set<NamespacedName>): void {
    const [namespace = '', podName = ''] = name.split('/');
    const before = this.#pods.get(name);
    const after = this.#options.store.get('Pod', namespace, podName);
    if (before !== undefined) this.#listedBy.remove(name, before.addresses);
    if (after === undefined) this.#pods.delete(name);
    else {
      this.#pods.set(name, after);
      this.#listedBy.add(name, after.addresses);
    }
    affected.add(name);
    // Whether other pods lose an address to this one depends on what the API says of this one.
    const claim = this.#claims.get(name);
    if (claim !== undefined) this.#addConcerned(claim, affected);
  }

  /** Those whose addresses can depend on a claim: its own pod, and all that have one of its addresses from either side. */
  #addConcerned(claim: Claim, affected: Set<NamespacedName>): void {
    affected.add(claim.pod);
    for (const { ip } of claim.addresses) {
      for (const name of this.#listedBy.of(ip)) affected.add(name);
      for (const name of this.#claims.namesOf(ip)) affected.add(name);
    }
  }

  /** Whether the pod is another than before. */
  #decide(name: NamespacedName): boolean {
    this.#waiting.delete(name);
    this.#ignored.delete(name);
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
    const kept = pod.addresses.filter(({ ip }) => this.#keeps(name, pod, own, ip));
    const early = own === undefined ? [] : this.#early(own, kept);
    if (early.length === 0 && kept.length === pod.addresses.length) return pod;
    return { ...pod, addresses: [...kept, ...early] };
  }

  /** Whether a pod keeps an address that the API lists it with. */
  #keeps(name: NamespacedName, pod: Pod, own: Claim | undefined, ip: string): boolean {
    const witness = own?.addresses.some((address) => address.ip === ip) === true ? own : undefined;
    const rivals = this.#claims.of(ip).filter((claim) => claim !== own);
    const ignored: IgnoredResult[] = [];
    const winners = rivals.filter((claim) => {
      const standing = this.#standing(claim, ip);
      switch (standing) {
        case 'confirmed':
          return witness === undefined || isNewer(claim, witness);
        case 'unconfirmed':
          this.#waitFor(name, claim);
          return witness === undefined;
        case 'contradicted':
          return witness === undefined && pod.nodeName === this.#options.nodeName;
        case 'unknown':
          ignored.push({ ip, pod: claim.pod, owner: name, containerId: claim.result.containerId });
          return false;
        case 'void':
          return false;
      }
    });
    if (winners.length > 0) return false;
    if (ignored.length > 0) this.#ignored.set(name, [...(this.#ignored.get(name) ?? []), ...ignored]);
    return true;
  }

  /** What a pod has of its result alone: a family that it keeps no address of, unless another got the address later. */
  #early(own: Claim, kept: readonly PodAddress[]): readonly PodAddress[] {
    return own.addresses.filter(({ ip, family }) => {
      if (kept.some((address) => address.family === family)) return false;
      const later = this.#claims.of(ip).filter((claim) => claim !== own && isNewer(claim, own));
      return later.every((claim) => {
        const standing = this.#standing(claim, ip);
        if (standing === 'unconfirmed') this.#waitFor(own.pod, claim);
        return standing === 'unknown' || standing === 'void';
      });
    });
  }

  #standing(claim: Claim, ip: string): Standing {
    const pod = this.#pods.get(claim.pod);
    const isKnown = pod !== undefined && this.#isClaimOf(claim, pod);
    if (isKnown) {
      if (!isPodOfNetwork(pod)) return 'void';
      const listed = pod.addresses.find(({ family }) => family === familyOf(ip));
      if (listed === undefined || listed.ip === ip) return 'confirmed';
    }
    if (this.#options.podsAsOf() < claim.since + confirmedWithinMs) return 'unconfirmed';
    return isKnown ? 'contradicted' : 'unknown';
  }

  #waitFor(name: NamespacedName, claim: Claim): void {
    const due = claim.since + confirmedWithinMs;
    this.#waiting.set(name, Math.min(this.#waiting.get(name) ?? due, due));
  }

  /** Names are used again, so without two uids to compare it must at least be a pod of this node. */
  #isClaimOf({ result }: Claim, pod: Pod): boolean {
    if (result.uid !== '' && pod.uid !== '') return result.uid === pod.uid;
    return pod.nodeName === this.#options.nodeName;
  }

  #isOwned(ip: string): boolean {
    const candidates = [...this.#listedBy.of(ip), ...this.#claims.namesOf(ip)];
    return candidates.some((name) => {
      const pod = this.#effective.get(name);
      return pod !== undefined && isPolicyPod(pod) && pod.addresses.some((address) => address.ip === ip);
    });
  }
}

/** Whether it can have an address of its own now: a completed pod has given it back, which only the API knows. */
function isPodOfNetwork(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
}
