/**
 * Why an address can stand nowhere, or `undefined` when it can: no packet carries it, and the kernel takes it into no set of addresses.
 * Takes canonical text.
 */
export function unusableAddress(ip: string): string | undefined {
  if (ip === '0.0.0.0' || ip === '::') return 'the unspecified address';
  return isIPv4Mapped(ip) ? 'an IPv4 address written as IPv6' : undefined;
}

/** Whether hosts send IPv4 packets for this IPv6 address or block (RFC 4291 §2.5.5.2). Takes canonical text, which has a dotted quad for these alone. */
export function isIPv4Mapped(text: string): boolean {
  return text.startsWith('::ffff:') && text.includes('.');
}

/**
 * Why a usable address can be neither an endpoint nor an external IP, or `undefined` when it can. The API server refuses these
 * (its rule for "non-special" addresses): traffic sent to them would reach the node itself or nobody.
 * Takes canonical text.
 */
export function specialUse(ip: string): string | undefined {
  if (ip.includes(':')) return specialIPv6(ip);
  if (ip.startsWith('127.')) return 'a loopback address';
  if (ip.startsWith('169.254.')) return 'a link-local address';
  if (ip.startsWith('224.0.0.')) return 'a link-local multicast address';
  return undefined;
}

function specialIPv6(ip: string): string | undefined {
  if (ip === '::1') return 'a loopback address';
  if (/^fe[89ab].:/.test(ip)) return 'a link-local address';
  if (/^ff.2:/.test(ip)) return 'a link-local multicast address';
  return undefined;
}
