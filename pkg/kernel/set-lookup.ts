import { type Address, formatCidr } from '../net/index.ts';
import type { SetSnapshot } from './snapshot.ts';

/** What a set is asked about: the packet's two ends. Addresses are canonical text as well. */
export interface SetQuery {
  readonly protocol: string;
  readonly source: SetQueryEnd;
  readonly destination: SetQueryEnd;
}

interface SetQueryEnd {
  readonly text: string;
  readonly address: Address;
  readonly port: number | undefined;
}

/**
 * A look-up as `-m set --match-set` does it: `flags` (`src`, `dst`) choose an end for each dimension of the set, in order.
 * Networks match by any prefix that holds the address. `undefined` where the packet's port is not known or the flags
 * are too few.
 */
export function createSetLookup(set: SetSnapshot, flags: string): (query: SetQuery) => boolean | undefined {
  const dimensions = set.spec.type.slice('hash:'.length).split(',');
  const sides = flags.split(',');
  const netIndex = dimensions.indexOf('net');
  const lengths = netIndex === -1 ? [] : prefixLengths(set, netIndex);
  return (query) => {
    if (query.destination.address.family !== set.spec.family) return false;
    if (sides.length < dimensions.length) return undefined;
    const parts: string[] = [];
    for (const [index, dimension] of dimensions.entries()) {
      const end = sides[index] === 'src' ? query.source : query.destination;
      if (dimension !== 'port') parts.push(end.text);
      // The kernel looks up ICMP by type and code; no set of ours holds that.
      else if (!portProtocols.has(query.protocol)) return false;
      else if (end.port === undefined) return undefined;
      else parts.push(`${query.protocol}:${end.port}`);
    }
    if (set.members.has(parts.join(','))) return true;
    if (netIndex === -1) return false;
    const { address } = sides[netIndex] === 'src' ? query.source : query.destination;
    return lengths.some((length) => {
      const key = parts.with(netIndex, maskAddress(address, length)).join(',');
      return set.members.has(key);
    });
  };
}

const portProtocols: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp']);

function addressBits(address: Address): number {
  return address.family === 'IPv4' ? 32 : 128;
}

function maskAddress(address: Address, length: number): string {
  const hostBits = BigInt(addressBits(address) - length);
  return formatCidr({ family: address.family, bits: (address.bits >> hostBits) << hostBits, length });
}

/** The prefix lengths that the members of a set have. */
function prefixLengths(set: SetSnapshot, netIndex: number): readonly number[] {
  const lengths = new Set<number>();
  const whole = set.spec.family === 'IPv4' ? 32 : 128;
  for (const member of set.members) {
    const length = member.split(',')[netIndex]?.split('/')[1];
    lengths.add(length === undefined ? whole : Number(length));
  }
  return [...lengths].toSorted((a, b) => b - a);
}
