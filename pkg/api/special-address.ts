/**
 * Why an address can be neither an endpoint nor an external IP, or `undefined` when it can. The API server refuses these
 * (its rule for "non-special" addresses): traffic sent to them would reach the node itself or nobody.
 * Takes canonical text.
 */
export function specialUse(ip: string): string | undefined {
  if (ip.includes(':')) return specialIPv6(ip);
  if (ip.startsWith('127.')) return 'a loopback address';
  if (ip === '0.0.0.0') return 'the unspecified address';
  if (ip.startsWith('169.254.')) return 'a link-local address';
  if (ip.startsWith('224.0.0.')) return 'a link-local multicast address';
  return undefined;
}

function specialIPv6(ip: string): string | undefined {
  if (ip === '::1') return 'a loopback address';
  if (ip === '::') return 'the unspecified address';
  if (/^fe[89ab].:/.test(ip)) return 'a link-local address';
  if (/^ff.2:/.test(ip)) return 'a link-local multicast address';
  if (ip.startsWith('::ffff:')) return 'an IPv4 address written as IPv6';
  return undefined;
}
