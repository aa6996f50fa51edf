import type { Family } from '../../pkg/net/index.ts';
import { frontendsOf, servicePort, targetPort } from './service-manifests.ts';

/** A Service by its number, and the address of its one endpoint. */
export interface NftService {
  readonly number: number;
  readonly endpoint: string;
}

const words = {
  IPv4: { table: 'ip', type: 'ipv4_addr', match: 'ip', loopback: '127.0.0.0/8' },
  IPv6: { table: 'ip6', type: 'ipv6_addr', match: 'ip6', loopback: '::1' },
} as const;

/**
 * The table that kube-proxy 1.36 in nftables mode writes for such Services, with its chains, priorities, sets and maps, without what these
 * Services do not use. Input for `nft -f`.
 */
export function kubeProxyTable(family: Family, services: readonly NftService[]): string {
  const { table, type, match, loopback } = words[family];
  const frontends = services.map(({ number, endpoint }) => ({
    ...frontendsOf(number, family),
    number,
    endpoint,
  }));
  const protocols = ['tcp', 'udp'] as const;
  const list = (elements: readonly string[]): string => `elements = { ${elements.join(', ')} }`;
  const chains = frontends.flatMap(({ number, endpoint, clusterIP }) =>
    protocols.flatMap((protocol) => [
      `chain service-${number}-${protocol} {`,
      `  ${match} daddr ${clusterIP} ${match} saddr != @pods mark set mark or 0x4000`,
      `  meta l4proto ${protocol} dnat ${match} addr . port to numgen random mod 1 map { 0 : ${endpoint} . ${targetPort} }`,
      '}',
      `chain external-${number}-${protocol} {`,
      '  mark set mark or 0x4000',
      `  goto service-${number}-${protocol}`,
      '}',
    ]),
  );
  const pods = family === 'IPv4' ? '10.244.0.0/16' : 'fd00:10:244::/48';
  return [
    `table ${table} kube-proxy {`,
    'comment "rules for kube-proxy"',
    `set cluster-ips { type ${type}; ${list(frontends.map(({ clusterIP }) => clusterIP))} }`,
    `set pods { type ${type}; flags interval; ${list([pods])} }`,
    `set hairpin-connections { type ${type} . ${type} . inet_proto . inet_service; ${list(
      frontends
        .flatMap(({ endpoint }) =>
          protocols.map((one) => `${endpoint} . ${endpoint} . ${one} . ${targetPort}`),
        )
        .filter(isFirst),
    )} }`,
    ...chains,
    `map service-ips { type ${type} . inet_proto . inet_service : verdict; ${list(
      frontends.flatMap(({ clusterIP, loadBalancerIP, number }) =>
        protocols.flatMap((one) => [
          `${clusterIP} . ${one} . ${servicePort} : goto service-${number}-${one}`,
          `${loadBalancerIP} . ${one} . ${servicePort} : goto external-${number}-${one}`,
        ]),
      ),
    )} }`,
    `map service-nodeports { type inet_proto . inet_service : verdict; ${list(
      frontends.flatMap(({ nodePort, number }) =>
        protocols.map((one) => `${one} . ${nodePort} : goto external-${number}-${one}`),
      ),
    )} }`,
    'chain services {',
    `  ${match} daddr . meta l4proto . th dport vmap @service-ips`,
    `  fib daddr type local ${match} daddr != ${loopback} meta l4proto . th dport vmap @service-nodeports`,
    '}',
    'chain masquerading {',
    `  ct status dnat ${match} saddr . ${match} daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random`,
    '  mark and 0x4000 == 0 return',
    '  mark set mark xor 0x4000',
    '  masquerade fully-random',
    '}',
    `chain cluster-ips-check { ${match} daddr @cluster-ips reject; }`,
    'chain nat-prerouting { type nat hook prerouting priority -100; jump services; }',
    'chain nat-output { type nat hook output priority -100; jump services; }',
    'chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }',
    'chain filter-forward { type filter hook forward priority 0; ct state new jump cluster-ips-check; }',
    'chain filter-output { type filter hook output priority 0; ct state new jump cluster-ips-check; }',
    '}',
    '',
  ].join('\n');
}

function isFirst(text: string, index: number, all: readonly string[]): boolean {
  return all.indexOf(text) === index;
}
