import { closeSync, openSync, readSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { canonicalAddress } from '../../pkg/net/index.ts';
import type { Clock } from '../../pkg/runtime/index.ts';
import { ipv4Addresses, ipv6Addresses } from './address-files.ts';

/** Where the kernel shows addresses. `undefined` when it can't be read, or is longer than the limit. */
export type ReadAddressFile = (name: 'fib_trie' | 'if_inet6', limit: number) => string | undefined;

/** About 10,000 routes. The kernel needs four times as long for twice as many, up to seconds. */
const longestFile = 1_000_000;
const chunkBytes = 65_536;
/** Reading may take at most this share of the time. */
const readShare = 0.01;
const longestPauseMs = 30_000;

/**
 * All addresses on the interfaces of this network namespace, canonical and sorted: also of interfaces that are down or have no
 * carrier, as kube-proxy takes them; node ports must not come and go with a cable. Node.js tells only of interfaces that are up and
 * have a carrier, so the kernel's tables are read, which takes no other program. IPv4 addresses are those that the kernel delivers
 * locally: a `local` route to a single address counts, too.
 *
 * Where the tables are missing or too long, it is what Node.js knows.
 */
export function interfaceAddresses(read: ReadAddressFile = readAddressFile): readonly string[] {
  const ipv4 = read('fib_trie', longestFile);
  const ipv6 = read('if_inet6', longestFile);
  const addresses = new Set([
    ...(ipv4 === undefined ? [] : ipv4Addresses(ipv4)),
    ...(ipv6 === undefined ? [] : ipv6Addresses(ipv6)),
    ...(ipv4 === undefined || ipv6 === undefined ? ofRunningInterfaces() : []),
  ]);
  return [...addresses].toSorted();
}

/**
 * The same for whoever asks often: while reading again would take more than a hundredth of the time, the former answer holds, for half
 * a minute at most.
 */
export function createInterfaceAddresses(
  clock: Pick<Clock, 'now'>,
  read: () => readonly string[] = interfaceAddresses,
): () => readonly string[] {
  let addresses: readonly string[] | undefined;
  let freshUntil = 0;
  return () => {
    const start = clock.now();
    if (addresses !== undefined && start < freshUntil) return addresses;
    addresses = read();
    const end = clock.now();
    freshUntil = end + Math.min(longestPauseMs, (end - start) / readShare);
    return addresses;
  };
}

function ofRunningInterfaces(): readonly string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.flatMap(({ address }) => canonicalAddress(address) ?? []);
}

function readAddressFile(name: string, limit: number): string | undefined {
  const chunks: string[] = [];
  const buffer = Buffer.alloc(chunkBytes);
  try {
    const file = openSync(`/proc/net/${name}`, 'r');
    try {
      for (let length = 0; length <= limit; ) {
        const bytes = readSync(file, buffer);
        if (bytes === 0) return chunks.join('');
        chunks.push(buffer.toString('latin1', 0, bytes));
        length += bytes;
      }
      return undefined;
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}
