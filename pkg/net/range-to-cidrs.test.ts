import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { address } from '../../test/support/cidrs.ts';
import { formatCidr, widthOf } from './cidr.ts';
import { mergeCidrs } from './merge-cidrs.ts';
import { rangeToCidrs } from './range-to-cidrs.ts';

const range = (first: string, last: string) => rangeToCidrs(address(first), address(last)).map(formatCidr);

describe('rangeToCidrs', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1', ['10.0.0.1/32']],
    ['10.0.0.0', '10.0.0.255', ['10.0.0.0/24']],
    ['10.0.0.1', '10.0.0.6', ['10.0.0.1/32', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6/32']],
    ['0.0.0.0', '255.255.255.255', ['0.0.0.0/0']],
    ['255.255.255.254', '255.255.255.255', ['255.255.255.254/31']],
    ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', ['::/0']],
    ['::1', '::2', ['::1/128', '::2/128']],
    ['10.0.0.2', '10.0.0.1', []],
  ])('%s to %s', (first, last, expected) => {
    expect(range(first, last)).toEqual(expected);
  });

  it('refuses two families', () => {
    expect(() => range('10.0.0.1', '::1')).toThrow(RangeError);
  });

  it('holds every address of the range once, in the fewest blocks', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('IPv4' as const, 'IPv6' as const),
        fc.bigInt(0n, 2n ** 32n - 1n),
        fc.bigInt(0n, 2n ** 20n),
        (family, low, size) => {
          const highest = 2n ** BigInt(widthOf(family)) - 1n;
          const last = low + size > highest ? highest : low + size;
          const blocks = rangeToCidrs({ family, bits: low }, { family, bits: last });
          let next = low;
          for (const block of blocks) {
            expect(block.bits).toBe(next);
            next += 1n << BigInt(widthOf(family) - block.length);
          }
          expect(next).toBe(last + 1n);
          expect(mergeCidrs(blocks)).toEqual(blocks);
        },
      ),
    );
  });
});
