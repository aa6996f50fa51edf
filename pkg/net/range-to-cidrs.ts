import type { Address } from './address.ts';
import type { Cidr } from './cidr.ts';
import { widthOf } from './cidr.ts';

/**
 * The fewest blocks that contain exactly the addresses from `first` to `last`, both included, in order; empty when
 * `last` stands before `first`. Throws a RangeError when the families differ.
 */
export function rangeToCidrs(first: Address, last: Address): readonly Cidr[] {
  if (first.family !== last.family)
    throw new RangeError(`a range from ${first.family} to ${last.family} has no meaning`);
  const { family } = first;
  const width = widthOf(family);
  const cidrs: Cidr[] = [];
  for (let bits = first.bits; bits <= last.bits; ) {
    let hostBits = 0;
    while (hostBits < width && fits(bits, hostBits + 1, last.bits)) hostBits += 1;
    cidrs.push({ family, bits, length: width - hostBits });
    bits += 1n << BigInt(hostBits);
  }
  return cidrs;
}

/** Whether a block of 2^hostBits addresses may start at `bits` and ends at or before `last`. */
function fits(bits: bigint, hostBits: number, last: bigint): boolean {
  const size = 1n << BigInt(hostBits);
  return bits % size === 0n && bits + size - 1n <= last;
}
