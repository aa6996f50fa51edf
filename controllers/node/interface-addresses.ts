import { networkInterfaces } from 'node:os';
import { canonicalAddress } from '../../pkg/net/index.ts';

/** All addresses on the interfaces of this network namespace, canonical and sorted. */
export function interfaceAddresses(): readonly string[] {
  const addresses = new Set<string>();
  for (const list of Object.values(networkInterfaces())) {
    for (const { address } of list ?? []) {
      const canonical = canonicalAddress(address);
      if (canonical !== undefined) addresses.add(canonical);
    }
  }
  return [...addresses].toSorted();
}
