import { canonicalAddress } from '../../pkg/net/index.ts';

/**
 * The addresses that the kernel delivers locally, of `/proc/net/fib_trie`: a leaf for each prefix, below it what its lengths lead to.
 *
 *     |-- 192.168.0.2
 *        /32 host LOCAL
 *
 * They stay while their interface is down. Each is there once or twice, in any order.
 */
export function ipv4Addresses(table: string): readonly string[] {
  const addresses: string[] = [];
  let leaf = '';
  for (const line of table.split('\n')) {
    const start = line.indexOf('|-- ');
    if (start >= 0) leaf = line.slice(start + 4);
    else if (line.endsWith('/32 host LOCAL')) addresses.push(leaf);
  }
  return addresses;
}

/** The addresses of all interfaces, of `/proc/net/if_inet6`: 32 digits each, then what belongs to it. */
export function ipv6Addresses(table: string): readonly string[] {
  return table.split('\n').flatMap((line) => {
    const groups = /^[0-9a-f]{32}(?= )/.exec(line)?.[0].match(/.{4}/g) ?? [];
    return canonicalAddress(groups.join(':')) ?? [];
  });
}
