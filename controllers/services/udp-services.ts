import type { EndpointSlice, NamespacedName, Service } from '../../pkg/api/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import {
  equalUdpFrontends,
  mergeUdpFrontends,
  type NodePortAddresses,
  noUdpFrontends,
  type UdpFrontends,
  udpFrontends,
} from '../../pkg/service/decide/index.ts';

/** The UDP frontends of all Services in one family, and whether they changed. */
export class UdpServices {
  readonly #family: Family;
  readonly #frontends = new Map<NamespacedName, UdpFrontends>();
  #hasChanged = false;

  constructor(family: Family) {
    this.#family = family;
  }

  setService(name: NamespacedName, service: Service | undefined, slices: readonly EndpointSlice[]): void {
    const before = this.#frontends.get(name) ?? noUdpFrontends;
    const after = udpFrontends(service, slices, this.#family);
    if (equalUdpFrontends(before, after)) return;
    this.#hasChanged = true;
    if (equalUdpFrontends(after, noUdpFrontends)) this.#frontends.delete(name);
    else this.#frontends.set(name, after);
  }

  /** All frontends, if any changed since the last call. */
  takeChanged(): UdpFrontends | undefined {
    if (!this.#hasChanged) return undefined;
    this.#hasChanged = false;
    return mergeUdpFrontends(this.#frontends.values());
  }
}

/** Whether node ports answer on an address. Every address of 127.0.0.0/8 is the node's own without being on an interface. */
export function isNodePortAddress(
  addresses: NodePortAddresses,
  interfaceAddresses: readonly string[],
): (address: string) => boolean {
  const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';
  const own = new Set(addresses.kind === 'some' ? addresses.addresses : interfaceAddresses);
  return (address) => {
    if (addresses.kind === 'all' && isLoopback(address)) return !addresses.exceptLoopback;
    return own.has(address);
  };
}
