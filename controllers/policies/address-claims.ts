import { type NamespacedName, namespacedName, type PodAddress } from '../../pkg/api/index.ts';
import { canonicalAddress, familyOf } from '../../pkg/net/index.ts';
import type { Clock } from '../../pkg/runtime/index.ts';
import type { CniResult } from '../../pkg/source/index.ts';
import { NamesByAddress } from './names-by-address.ts';

/** What the runtime noted when it last gave the pod of this name a network. */
export interface Claim {
  readonly pod: NamespacedName;
  readonly result: CniResult;
  /** At most one a family, as the kubelet reports them. */
  readonly addresses: readonly PodAddress[];
  /** When it was noted, by the monotonic clock: at the file's time, or when it was first seen where that is in the future. */
  readonly since: number;
}

export interface AddressClaimsOptions {
  readonly clock: Pick<Clock, 'now'>;
  /** Milliseconds since 1970, as the file system of the results counts them. */
  readonly wallClock: () => number;
}

/** The results of the CNI cache, by pod and by address. */
export class AddressClaims {
  readonly #options: AddressClaimsOptions;
  readonly #claims = new Map<NamespacedName, Claim>();
  readonly #byAddress = new NamesByAddress();
  #results: readonly CniResult[] = [];

  constructor(options: AddressClaimsOptions) {
    this.#options = options;
  }

  /** Takes in the newest result of each pod; returns what is not as it was, as it was and as it is. The same list costs nothing. */
  take(results: readonly CniResult[]): readonly Claim[] {
    if (results === this.#results) return [];
    this.#results = results;
    const byPod = new Map(results.map((result) => [namespacedName(result.namespace, result.name), result]));
    const names = new Set([...this.#claims.keys(), ...byPod.keys()]);
    return [...names].flatMap((name) => this.#replace(name, byPod.get(name)));
  }

  get(pod: NamespacedName): Claim | undefined {
    return this.#claims.get(pod);
  }

  /** All claims on an address, sorted by pod. */
  of(ip: string): readonly Claim[] {
    return [...this.namesOf(ip)].toSorted().flatMap((name) => this.#claims.get(name) ?? []);
  }

  /** The pods of all claims on an address. */
  namesOf(ip: string): Iterable<NamespacedName> {
    return this.#byAddress.of(ip);
  }

  /** All claims, sorted by pod. */
  all(): readonly Claim[] {
    return [...this.#claims.values()].toSorted((a, b) => (a.pod < b.pod ? -1 : 1));
  }

  #replace(pod: NamespacedName, result: CniResult | undefined): readonly Claim[] {
    const before = this.#claims.get(pod);
    if (before?.result === result) return [];
    if (before !== undefined) this.#byAddress.remove(pod, before.addresses);
    this.#claims.delete(pod);
    if (result === undefined) return before === undefined ? [] : [before];
    const after = { pod, result, addresses: podAddresses(result), since: this.#since(result, before) };
    this.#claims.set(pod, after);
    this.#byAddress.add(pod, after.addresses);
    return before === undefined ? [after] : [before, after];
  }

  #since(result: CniResult, before: Claim | undefined): number {
    const isSame =
      before?.result.containerId === result.containerId && before.result.addedNs === result.addedNs;
    if (isSame) return before.since;
    const ageMs = this.#options.wallClock() - Number(result.addedNs / 1_000_000n);
    return this.#options.clock.now() - Math.max(ageMs, 0);
  }
}

/** Files of one tick of the file system's clock have the same time: some order, but always the same. */
export function isNewer({ result: a }: Claim, { result: b }: Claim): boolean {
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
