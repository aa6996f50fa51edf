import { canonicalAddress, type Family } from '../net/index.ts';

/**
 * A set's member in the one spelling that Weir compares. C libraries print IPv6 addresses in ways of their own: glibc's `::0.1.0.0` is
 * `::1:0`, and musl shortens a single group of zeros, too. What is not understood stays as it is.
 *
 * @param member text as `ipset save` prints it, of a set of one of Weir's types
 */
export function canonicalMember(member: string, family: Family): string {
  if (family === 'IPv4') return wholeIPv4.test(member) ? member.replaceAll(wholeIPv4All, '$1') : member;
  return member.includes(',') ? member.split(',').map(canonicalPart).join(',') : canonicalPart(member);
}

/** One address needs no length. */
const wholeIPv4 = /\/32(?:,|$)/;
const wholeIPv4All = /\/32(,|$)/g;

/** An address or a block; a port has no second colon and is none. */
function canonicalPart(part: string): string {
  const slash = part.indexOf('/');
  if (slash === -1) return canonicalAddress(part) ?? part;
  const address = canonicalAddress(part.slice(0, slash));
  if (address === undefined) return part;
  const length = part.slice(slash + 1);
  return length === '128' ? address : `${address}/${length}`;
}
