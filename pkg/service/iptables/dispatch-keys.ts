import type { Protocol } from '../../api/index.ts';
import type { Match } from '../../kernel/index.ts';
import { type Family, formatAddress, parseAddress } from '../../net/index.ts';
import { ruleProtocol } from './service-names.ts';

/**
 * Keys of the dispatch trees: hexadecimal digits of the address (none in the node-port tree), one digit for the protocol,
 * four for the port. A prefix of a key is therefore a CIDR, then a protocol, then a range of ports.
 */
const protocols = ['TCP', 'UDP', 'SCTP'] as const satisfies readonly Protocol[];
const portDigits = 4;

const addressDigits = { IPv4: 8, IPv6: 32 } as const;

export function addressKey(family: Family, ip: string, protocol: Protocol, port: number): string {
  const bits = parseAddress(ip)?.bits ?? 0n;
  return bits.toString(16).padStart(addressDigits[family], '0') + nodePortKey(protocol, port);
}

export function nodePortKey(protocol: Protocol, port: number): string {
  return protocols.indexOf(protocol).toString(16) + port.toString(16).padStart(portDigits, '0');
}

/** What all keys that begin with `prefix` have in common. */
export function addressPrefixMatches(family: Family, prefix: string): readonly Match[] {
  const digits = addressDigits[family];
  const bits = BigInt(`0x${prefix.slice(0, digits).padEnd(digits, '0')}`);
  const length = Math.min(prefix.length, digits) * 4;
  const destination: Match = { kind: 'destination', cidr: `${formatAddress({ family, bits })}/${length}` };
  return [destination, ...nodePortPrefixMatches(prefix.slice(digits))];
}

export function nodePortPrefixMatches(prefix: string): readonly Match[] {
  const protocol = protocols[Number.parseInt(prefix.slice(0, 1), 16)];
  if (protocol === undefined) return [];
  const matches: Match[] = [{ kind: 'protocol', protocol: ruleProtocol(protocol) }];
  const digits = prefix.slice(1);
  if (digits.length === 0) return matches;
  const first = Number.parseInt(digits.padEnd(portDigits, '0'), 16);
  const last = Number.parseInt(digits.padEnd(portDigits, 'f'), 16);
  matches.push({ kind: 'destination-port', protocol: ruleProtocol(protocol), ports: { first, last } });
  return matches;
}

/** The match for exactly one key. */
export function addressMatches(
  family: Family,
  ip: string,
  protocol: Protocol,
  port: number,
): readonly Match[] {
  const length = addressDigits[family] * 4;
  return [{ kind: 'destination', cidr: `${ip}/${length}` }, ...nodePortMatches(protocol, port)];
}

export function nodePortMatches(protocol: Protocol, port: number): readonly Match[] {
  return [
    { kind: 'protocol', protocol: ruleProtocol(protocol) },
    { kind: 'destination-port', protocol: ruleProtocol(protocol), ports: { first: port, last: port } },
  ];
}
