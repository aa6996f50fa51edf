import type { Address, Family } from './address.ts';
import { formatAddress, parseAddress } from './address.ts';
import { formatIPv4, parseIPv4 } from './ipv4.ts';

/** A block of addresses: `bits` is its first address (host bits zero), `length` the prefix length, 0 to 32 or 128. */
export interface Cidr {
  readonly family: Family;
  readonly bits: bigint;
  readonly length: number;
}

const LENGTH = /^(?:0|[1-9]\d{0,2})$/;

/** Number of bits of an address of this family. */
export function widthOf(family: Family): 32 | 128 {
  return family === 'IPv4' ? 32 : 128;
}

/**
 * Reads `address/length`. The address is read as strictly as `parseAddress` does; host bits may be set and are masked
 * off, because stored objects have them and the API server accepts them. A bare address is not a CIDR.
 */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash === -1) return undefined;
  const address = parseAddress(text.slice(0, slash));
  if (address === undefined) return undefined;
  const length = parseLength(text.slice(slash + 1), widthOf(address.family));
  return length === undefined ? undefined : maskTo(address, length);
}

function parseLength(text: string, width: number): number | undefined {
  if (!LENGTH.test(text)) return undefined;
  const length = Number(text);
  return length <= width ? length : undefined;
}

function maskTo({ family, bits }: Address, length: number): Cidr {
  const hostBits = BigInt(widthOf(family) - length);
  return { family, bits: (bits >> hostBits) << hostBits, length };
}

/** Canonical text, `10.0.0.0/8` or `fd00::/8`. */
export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr)}/${cidr.length}`;
}

/** The one spelling of a block: canonical address, host bits masked; `undefined` when the text is not a CIDR. */
export function canonicalCidr(text: string): string | undefined {
  const slash = text.indexOf('/');
  if (slash === -1) return undefined;
  const quad = parseIPv4(text.slice(0, slash));
  if (quad === undefined) {
    const cidr = parseCidr(text);
    return cidr && formatCidr(cidr);
  }
  const length = parseLength(text.slice(slash + 1), 32);
  if (length === undefined) return undefined;
  const hostSize = 2 ** (32 - length);
  return `${formatIPv4(quad - (quad % hostSize))}/${length}`;
}

/** Family of a valid address or CIDR; `undefined` when the text is neither. */
export function familyOf(text: string): Family | undefined {
  if (text.includes('/')) return parseCidr(text)?.family;
  if (parseIPv4(text) !== undefined) return 'IPv4';
  return parseAddress(text)?.family;
}

/** Whether the address lies in the block; never across families. */
export function cidrContains(cidr: Cidr, address: Address): boolean {
  if (cidr.family !== address.family) return false;
  const hostBits = BigInt(widthOf(cidr.family) - cidr.length);
  return address.bits >> hostBits === cidr.bits >> hostBits;
}

/** Whether every address of `inner` lies in `outer`; a block covers itself. */
export function cidrCovers(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && cidrContains(outer, inner);
}

/** Order of all lists of blocks: IPv4 first, by first address, the larger block first. */
export function compareCidrs(a: Cidr, b: Cidr): number {
  if (a.family !== b.family) return a.family === 'IPv4' ? -1 : 1;
  if (a.bits !== b.bits) return a.bits < b.bits ? -1 : 1;
  return a.length - b.length;
}
