import { canonicalAddress } from '../net/index.ts';
import type { Family } from './tools.ts';

/** One direction of a connection as the kernel tracks it, with addresses in their canonical form. */
export interface FlowDirection {
  readonly source: string;
  readonly destination: string;
  /** Of protocols with ports only. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/**
 * A connection that the kernel tracks. `original` is what its first packet said, `reply` what an answer says: where a
 * Service was in between, `original.destination` is the Service's address and `reply.source` the endpoint behind it; where
 * the client was masqueraded, `reply.destination` is the address that it got.
 */
export interface Flow {
  readonly family: Family;
  /** IP protocol number: 6 TCP, 17 UDP, 132 SCTP, 1 ICMP, 58 ICMPv6 … */
  readonly protocol: number;
  /** Of protocols that have states: `ESTABLISHED`, `TIME_WAIT` … */
  readonly state: string | undefined;
  readonly original: FlowDirection;
  readonly reply: FlowDirection;
}

/**
 * Reads a line of `conntrack -L`; undefined when it is none:
 *
 *     tcp      6 86399 ESTABLISHED src=… dst=… sport=… dport=… [UNREPLIED] src=… dst=… sport=… dport=… [ASSURED] mark=0 use=1
 *
 * Counters, flags, zones and all that may stand between are passed over. Protocols are known by their number, since the
 * tool has no name for some.
 */
export function parseFlow(line: string, family: Family): Flow | undefined {
  const words = line.split(' ').filter((word) => word !== '');
  const protocol = Number(words[1]);
  // The timeout stands before the state, except for connections that a flow table has taken over.
  const state = words.slice(2, 4).find((word) => /^[A-Z]/.test(word));
  const second = words.findIndex((word, index) => word.startsWith('src=') && index > firstSource(words));
  const original = readDirection(words.slice(0, second));
  const reply = second === -1 ? undefined : readDirection(words.slice(second));
  if (!Number.isInteger(protocol) || original === undefined || reply === undefined) return undefined;
  return { family, protocol, state, original, reply };
}

function firstSource(words: readonly string[]): number {
  return words.findIndex((word) => word.startsWith('src='));
}

function readDirection(words: readonly string[]): FlowDirection | undefined {
  const source = valueOf(words, 'src=');
  const destination = valueOf(words, 'dst=');
  if (source === undefined || destination === undefined) return undefined;
  const sourcePort = valueOf(words, 'sport=');
  const destinationPort = valueOf(words, 'dport=');
  return {
    source: canonicalAddress(source) ?? source,
    destination: canonicalAddress(destination) ?? destination,
    ...(sourcePort === undefined ? {} : { sourcePort: Number(sourcePort) }),
    ...(destinationPort === undefined ? {} : { destinationPort: Number(destinationPort) }),
  };
}

function valueOf(words: readonly string[], key: string): string | undefined {
  return words.find((word) => word.startsWith(key))?.slice(key.length);
}
