import type { Family } from '../net/index.ts';

/** The name of a family in the words of nft. */
export function nftFamily(family: Family): 'ip' | 'ip6' {
  return family === 'IPv4' ? 'ip' : 'ip6';
}
