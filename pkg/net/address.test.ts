import { isIPv4, isIPv6 } from 'node:net';
import * as fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { canonicalAddress, formatAddress, parseAddress } from './address.ts';
import { formatIPv6, isPlainlyCanonicalIPv6, parseIPv6 } from './ipv6.ts';

const octet = fc.integer({ min: 0, max: 255 });
const quad = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.'));
// Zero groups often, so that '::' is exercised.
const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
const groups = fc.array(group, { minLength: 8, maxLength: 8 });
const fullIPv6 = groups.map((values) => values.map((value) => value.toString(16)).join(':'));
const addressLike = fc.string({
  unit: fc.constantFrom('0', '1', '2', '9', 'a', 'F', ':', '::', '.', '%', '/', ' ', 'x'),
  maxLength: 24,
});

function mutate([text, at, char]: [string, number, string]): string {
  const position = at % (text.length + 1);
  return text.slice(0, position) + char + text.slice(position + (at % 2));
}
const nearlyAddress = fc
  .tuple(
    fc.oneof(
      quad,
      fullIPv6,
      quad.map((text) => `::ffff:${text}`),
    ),
    fc.nat(),
    fc.constantFrom('', '0', ':', '::', '.', 'f', '1', ' '),
  )
  .map(mutate);

describe('parseAddress', () => {
  it.each([
    ['0.0.0.0', 'IPv4', 0n],
    ['10.0.0.1', 'IPv4', 0x0a000001n],
    ['255.255.255.255', 'IPv4', 0xffffffffn],
    ['::', 'IPv6', 0n],
    ['::1', 'IPv6', 1n],
    ['fe80::', 'IPv6', 0xfe80n << 112n],
    ['2001:DB8::1', 'IPv6', 0x20010db8000000000000000000000001n],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', 'IPv6', 0x20010db8000000000000000000000001n],
    ['1:2:3:4:5:6:7::', 'IPv6', 0x00010002000300040005000600070000n],
    ['::ffff:1.2.3.4', 'IPv6', 0xffff01020304n],
    ['64:ff9b::192.0.2.1', 'IPv6', 0x0064ff9b0000000000000000c0000201n],
    ['1:2:3:4:5:6:1.2.3.4', 'IPv6', 0x00010002000300040005000601020304n],
  ] as const)('reads %s', (text, family, bits) => {
    expect(parseAddress(text)).toEqual({ family, bits });
  });

  it.each([
    '',
    '10.1',
    '167772161',
    '010.0.0.1',
    '10.0.0.00',
    '0x7f.1',
    '0x7f.0.0.1',
    '1.2.3.256',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '1.2.3.4\n',
    '+1.2.3.4',
    '١.٢.٣.٤',
    '10.0.0.1/32',
    ':',
    ':::',
    '1',
    'fe80::1%eth0',
    '[::1]',
    '::1 ',
    '1::2::3',
    '12345::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '::1:2:3:4:5:6:7:8',
    ':1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:',
    '::ffff:01.2.3.4',
    '::ffff:1.2.3',
    '::1.2.3.4:5',
    '1.2.3.4::',
    '1:2:3:4:5:6:7:1.2.3.4',
    'g::',
    'kubernetes',
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
    expect(canonicalAddress(text)).toBeUndefined();
  });

  it('accepts what the C library accepts, zones apart', () => {
    fc.assert(
      fc.property(fc.oneof(addressLike, nearlyAddress, quad, fullIPv6), (text) => {
        const accepted = isIPv4(text) ? 'IPv4' : isIPv6(text) && !text.includes('%') ? 'IPv6' : undefined;
        expect(parseAddress(text)?.family).toBe(accepted);
      }),
    );
  });

  it('gives the value that ipaddr.js gives', () => {
    fc.assert(
      fc.property(fc.oneof(quad, fullIPv6), (text) => {
        const bytes = ipaddr.parse(text).toByteArray();
        const expected = bytes.reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
        expect(parseAddress(text)?.bits).toBe(expected);
      }),
    );
  });
});

describe('canonical text', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['2001:0DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['::FFFF:102:304', '::ffff:1.2.3.4'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ])('of %s is %s', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });

  const canonicalOracle = (text: string): string => {
    const address = ipaddr.parse(text);
    if (!(address instanceof ipaddr.IPv6)) return address.toString();
    return address.isIPv4MappedAddress()
      ? `::ffff:${address.toIPv4Address().toString()}`
      : address.toRFC5952String();
  };

  it('is that of ipaddr.js, by both ways', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          quad,
          fullIPv6,
          quad.map((text) => `::ffff:${text}`),
        ),
        (text) => {
          const address = parseAddress(text);
          expect(canonicalAddress(text)).toBe(canonicalOracle(text));
          expect(address && formatAddress(address)).toBe(canonicalOracle(text));
        },
      ),
    );
  });

  it('is plain only where reading and writing gives the same text', () => {
    const short = fc.array(fc.oneof(group, fc.constant(0xffff)), { maxLength: 8 }).map((values) => {
      const words = values.map((value) => value.toString(16));
      const gap = values.length % 4;
      return [...words.slice(0, gap), '', ...words.slice(gap)].join(':');
    });
    fc.assert(
      fc.property(fc.oneof(addressLike, nearlyAddress, fullIPv6, short), (text) => {
        const groups = parseIPv6(text);
        const isPlain = isPlainlyCanonicalIPv6(text);
        expect(isPlain ? groups && formatIPv6(groups) : text).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    '::',
    '::1',
    'fd00::',
    'fd00:10:244:1::a',
    '1:2:3:4:5:6::',
    '::1:2:3:4:5:6',
    '1:2:3:4:5:6:7:8',
    '::ffff',
  ])('of %s is seen at once', (text) => {
    expect(isPlainlyCanonicalIPv6(text)).toBe(true);
  });

  it('reads back as the same address and is its own canonical text', () => {
    fc.assert(
      fc.property(fc.oneof(quad, fullIPv6), (text) => {
        const canonical = canonicalAddress(text) ?? '';
        expect(parseAddress(canonical)).toEqual(parseAddress(text));
        expect(canonicalAddress(canonical)).toBe(canonical);
      }),
    );
  });
});
