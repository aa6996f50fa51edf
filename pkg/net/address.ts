import { formatIPv4, parseIPv4 } from './ipv4.ts';
import { bitsToGroups, formatIPv6, groupsToBits, isPlainlyCanonicalIPv6, parseIPv6 } from './ipv6.ts';

export type Family = 'IPv4' | 'IPv6';

/** An IP address: its family and its numeric value, below 2³² or 2¹²⁸. */
export interface Address {
  readonly family: Family;
  readonly bits: bigint;
}

/**
 * Reads an address. Strict: IPv4 has four decimal parts without leading zeros, IPv6 follows RFC 4291 §2.2, zones and
 * surrounding space are refused. An IPv4-mapped text such as `::ffff:10.0.0.1` is an IPv6 address. `undefined` when
 * the text is not an address.
 */
export function parseAddress(text: string): Address | undefined {
  const quad = parseIPv4(text);
  if (quad !== undefined) return { family: 'IPv4', bits: BigInt(quad) };
  const groups = parseIPv6(text);
  return groups && { family: 'IPv6', bits: groupsToBits(groups) };
}

/** Canonical text: a dotted quad, or RFC 5952. */
export function formatAddress(address: Address): string {
  if (address.family === 'IPv4') return formatIPv4(Number(address.bits));
  return formatIPv6(bitsToGroups(address.bits));
}

/** The one spelling of an address, so that texts can be compared; `undefined` when the text is not an address. */
export function canonicalAddress(text: string): string | undefined {
  // A dotted quad that the strict reader accepts has no other spelling.
  if (parseIPv4(text) !== undefined || isPlainlyCanonicalIPv6(text)) return text;
  const groups = parseIPv6(text);
  return groups && formatIPv6(groups);
}
