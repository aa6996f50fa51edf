import type { Family } from '../../pkg/net/index.ts';

/** Rules that another program wrote with nft into a table of iptables-nft, which iptables cannot print. */
export interface ForeignRules {
  readonly title: string;
  readonly table: 'filter' | 'nat';
  /** The chain that cannot be printed. */
  readonly chain: string;
  /** Input of `nft -f`. */
  readonly script: (family: Family) => string;
  /** Input of `nft -f` that takes them away, made from what `nft -a list chain` shows. */
  readonly removal: (family: Family, listing: string) => string;
}

const address = { IPv4: '192.0.2.99', IPv6: '2001:db8::99' } as const;
const portForward = (family: Family): string => `tcp dport { 8443, 9443 } dnat to ${address[family]}`;
const verdicts = (): string => 'ct state vmap { established : accept, invalid : drop }';
/** As VPN agents set the mark of their packets. */
const mark = (): string => 'iifname "vpn0*" meta mark set meta mark & 0xff00ffff | 0x00040000 counter';
const markedSource = (): string => 'meta mark & 0x00ff0000 == 0x00040000 masquerade';

/** What was seen in the field: rules of admins and of VPN agents, in chains of their own and in the built-in ones. */
export const foreignRules: readonly ForeignRules[] = [
  inOwnChain('a verdict map in a chain of its own', 'filter', 'admin', verdicts),
  inBuiltin('a verdict map in INPUT', 'filter', 'INPUT', 'filter', verdicts),
  inBuiltin('a verdict map in FORWARD', 'filter', 'FORWARD', 'filter', verdicts),
  inBuiltin('an expression of the mark in FORWARD', 'filter', 'FORWARD', 'filter', mark),
  inOwnChain('an expression of the mark in a chain of its own', 'filter', 'ts-forward', mark),
  inOwnChain('a set in a chain of its own', 'nat', 'admin', portForward),
  inBuiltin('a set in PREROUTING', 'nat', 'PREROUTING', 'dstnat', portForward),
  inOwnChain('a masquerade by a mark in a chain of its own', 'nat', 'ts-postrouting', markedSource),
  inBuiltin('a masquerade by a mark in POSTROUTING', 'nat', 'POSTROUTING', 'srcnat', markedSource),
];

/** Tells them from Weir's, which jump. */
export const foreignRule = /vmap|dnat to|mark set|masquerade/;

export function nftFamily(family: Family): 'ip' | 'ip6' {
  return family === 'IPv4' ? 'ip' : 'ip6';
}

function inOwnChain(
  title: string,
  table: ForeignRules['table'],
  chain: string,
  rule: (family: Family) => string,
): ForeignRules {
  return {
    title: `${title} of ${table}`,
    table,
    chain,
    script: (family) =>
      `table ${nftFamily(family)} ${table} {\n chain ${chain} {\n  ${rule(family)}\n }\n}\n`,
    removal: (family) => `delete chain ${nftFamily(family)} ${table} ${chain}\n`,
  };
}

function inBuiltin(
  title: string,
  table: ForeignRules['table'],
  chain: string,
  priority: string,
  rule: (family: Family) => string,
): ForeignRules {
  const type = table === 'nat' ? 'nat' : 'filter';
  const hook = chain.toLowerCase();
  return {
    title: `${title} of ${table}`,
    table,
    chain,
    script: (family) =>
      `table ${nftFamily(family)} ${table} {\n chain ${chain} {\n  type ${type} hook ${hook} priority ${priority}; policy accept;\n  ${rule(family)}\n }\n}\n`,
    removal: (family, listing) =>
      listing
        .split('\n')
        .flatMap((line) => {
          const [, handle] = foreignRule.test(line) ? (/# handle (\d+)$/.exec(line) ?? []) : [];
          return handle === undefined
            ? []
            : [`delete rule ${nftFamily(family)} ${table} ${chain} handle ${handle}\n`];
        })
        .join(''),
  };
}
