import { containsCidr, parseCidr as parseWithCidrTools } from 'cidr-tools';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { address, anyCidr, cidr, closeCidr } from '../../test/support/cidrs.ts';
import { canonicalCidr, cidrContains, cidrCovers, familyOf, formatCidr, parseCidr } from './cidr.ts';

describe('parseCidr', () => {
  it.each([
    ['10.0.0.5/24', '10.0.0.0/24'],
    ['10.0.0.5/32', '10.0.0.5/32'],
    ['255.255.255.255/0', '0.0.0.0/0'],
    ['192.168.1.255/31', '192.168.1.254/31'],
    ['128.0.0.0/1', '128.0.0.0/1'],
    ['FD00:0::1/8', 'fd00::/8'],
    ['::1/128', '::1/128'],
    ['::1/0', '::/0'],
    ['2001:db8:ffff::/33', '2001:db8:8000::/33'],
    ['::ffff:10.0.0.1/104', '::ffff:10.0.0.0/104'],
  ])('masks %s to %s', (text, canonical) => {
    expect(formatCidr(cidr(text))).toBe(canonical);
    expect(canonicalCidr(text)).toBe(canonical);
  });

  it.each([
    '',
    '/',
    '10.0.0.0',
    '10.0.0.0/',
    '/8',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/+8',
    '10.0.0.0/-1',
    '10.0.0.0/8 ',
    '10.0.0.0/8/8',
    '10.0.0.0/1e1',
    '10.0.0.0/255.0.0.0',
    '010.0.0.0/8',
    '10.0/8',
    'fd00::/129',
    'fd00::%1/8',
    'fd00:/8',
    'any',
  ])('refuses %j', (text) => {
    expect(parseCidr(text)).toBeUndefined();
    expect(canonicalCidr(text)).toBeUndefined();
  });

  it('gives the block that cidr-tools gives, by both ways', () => {
    fc.assert(
      fc.property(anyCidr, (text) => {
        const theirs = parseWithCidrTools(text);
        const block = cidr(text);
        expect(block.bits).toBe(theirs.start);
        expect(block.family).toBe(`IPv${theirs.version}`);
        expect(canonicalCidr(text)).toBe(formatCidr(block));
      }),
    );
  });
});

describe('familyOf', () => {
  it.each([
    ['10.0.0.1', 'IPv4'],
    ['10.0.0.1/8', 'IPv4'],
    ['::1', 'IPv6'],
    ['::/0', 'IPv6'],
    ['::ffff:10.0.0.1', 'IPv6'],
    ['10.0.0.1/64', undefined],
    ['example.org', undefined],
    ['', undefined],
  ])('of %j is %s', (text, family) => {
    expect(familyOf(text)).toBe(family);
  });
});

describe('cidrContains and cidrCovers', () => {
  it.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::', false],
    ['::/0', '0.0.0.0', false],
    ['::/0', 'ffff::', true],
    ['::ffff:0:0/96', '::ffff:10.0.0.1', true],
    ['::ffff:0:0/96', '10.0.0.1', false],
    ['10.0.0.1/32', '10.0.0.1', true],
    ['10.0.0.1/32', '10.0.0.2', false],
  ])('%s contains %s: %s', (block, ip, expected) => {
    expect(cidrContains(cidr(block), address(ip))).toBe(expected);
  });

  it('covers itself, and no larger block', () => {
    expect(cidrCovers(cidr('10.0.0.0/8'), cidr('10.0.0.0/8'))).toBe(true);
    expect(cidrCovers(cidr('10.0.0.0/9'), cidr('10.0.0.0/8'))).toBe(false);
  });

  it('covers what cidr-tools says it covers', () => {
    fc.assert(
      fc.property(closeCidr, closeCidr, (outer, inner) => {
        expect(cidrCovers(cidr(outer), cidr(inner))).toBe(containsCidr(outer, inner));
      }),
    );
  });
});
