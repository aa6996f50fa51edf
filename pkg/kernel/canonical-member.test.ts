import { describe, expect, test } from 'vitest';
import type { Family } from '../net/index.ts';
import { canonicalMember } from './canonical-member.ts';

describe('canonicalMember', () => {
  test.each<[title: string, family: Family, member: string, canonical: string]>([
    ['an address whose end glibc takes for IPv4', 'IPv6', '::0.1.0.0', '::1:0'],
    ['a block of such', 'IPv6', '::0.1.0.0/112', '::1:0/112'],
    ['one in a pair with a port', 'IPv6', '::1.2.3.4,tcp:80', '::102:304,tcp:80'],
    ['both in a triple', 'IPv6', '::0.2.0.0,udp:53,::0.1.0.0/120', '::2:0,udp:53,::1:0/120'],
    ['an address where musl shortens one group', 'IPv6', '1::2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['capital letters and leading zeros', 'IPv6', 'FD00:0::00A1', 'fd00::a1'],
    ['an IPv4-mapped address', 'IPv6', '::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['a block of one address', 'IPv6', 'fd00::1/128', 'fd00::1'],
    ['a block of one IPv4 address', 'IPv4', '10.0.0.1/32', '10.0.0.1'],
    ['a block of one in a triple', 'IPv4', '10.0.0.1,tcp:80,10.0.0.2/32', '10.0.0.1,tcp:80,10.0.0.2'],
    ['another block', 'IPv4', '10.0.0.0/3,sctp:1', '10.0.0.0/3,sctp:1'],
    ['what is no address', 'IPv6', 'one,two/128', 'one,two/128'],
  ])('%s', (_, family, member, canonical) => {
    expect(canonicalMember(member, family)).toBe(canonical);
    expect(canonicalMember(canonical, family)).toBe(canonical);
  });
});
