import * as fc from 'fast-check';
import type { Address, Cidr } from '../../pkg/net/index.ts';
import { parseAddress, parseCidr } from '../../pkg/net/index.ts';

/** An address that the test itself wrote, so it must parse. */
export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new RangeError(`${text} is no address`);
  return parsed;
}

/** A block that the test itself wrote, so it must parse. */
export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new RangeError(`${text} is no CIDR`);
  return parsed;
}

export function sortTexts(texts: readonly string[]): readonly string[] {
  return texts.toSorted();
}

const octet = fc.integer({ min: 0, max: 255 });
const group = fc
  .oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
  .map((value) => value.toString(16));

/** Any block of either family, host bits set. */
export const anyCidr: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(octet, octet, octet, octet, fc.integer({ min: 0, max: 32 }))
    .map(([a, b, c, d, length]) => `${a}.${b}.${c}.${d}/${length}`),
  fc
    .tuple(fc.array(group, { minLength: 8, maxLength: 8 }), fc.integer({ min: 0, max: 128 }))
    .map(([groups, length]) => `${groups.join(':')}/${length}`),
);

/** Blocks within 32 neighbouring addresses of either family, or around them: they overlap, nest and touch often. */
export const closeCidr: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(fc.integer({ min: 0, max: 31 }), fc.integer({ min: 25, max: 32 }))
    .map(([host, length]) => `10.0.0.${host}/${length}`),
  fc
    .tuple(fc.integer({ min: 0, max: 31 }), fc.integer({ min: 121, max: 128 }))
    .map(([host, length]) => `fd00::${host.toString(16)}/${length}`),
  fc.constantFrom('0.0.0.0/0', '0.0.0.0/1', '10.0.0.0/8', '::/0', 'fd00::/8'),
);
