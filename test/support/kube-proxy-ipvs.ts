import type { Family } from '../../pkg/net/index.ts';
import { frontendsOf, servicePort, targetPort } from './service-manifests.ts';

/** A Service by its number, and the address of its one endpoint. */
export interface IpvsService {
  readonly number: number;
  readonly endpoint: string;
}

type SetName = (family: Family, name: string) => string;

/** kube-proxy tells the families apart by the name, which the kernel limits. */
const setName: SetName = (family, name) => `KUBE-${family === 'IPv4' ? '' : '6-'}${name}`.slice(0, 31);

const hashSets = {
  'hash:ip,port,ip': ['LOOP-BACK', 'LOAD-BALANCER-SOURCE-IP'],
  'hash:ip,port,net': ['LOAD-BALANCER-SOURCE-CIDR'],
  'hash:ip,port': [
    'CLUSTER-IP',
    'EXTERNAL-IP',
    'EXTERNAL-IP-LOCAL',
    'LOAD-BALANCER',
    'LOAD-BALANCER-FW',
    'LOAD-BALANCER-LOCAL',
    'NODE-PORT-SCTP-HASH',
    'NODE-PORT-LOCAL-SCTP-HASH',
  ],
  'hash:ip': ['IPVS-IPS'],
} as const;
const portSets = [
  'NODE-PORT-TCP',
  'NODE-PORT-LOCAL-TCP',
  'NODE-PORT-UDP',
  'NODE-PORT-LOCAL-UDP',
  'HEALTH-CHECK-NODE-PORT',
] as const;

/** The sets that kube-proxy 1.36 in IPVS mode has for such Services of type LoadBalancer. Input for `ipset restore`. */
export function ipvsSetsText(family: Family, services: readonly IpvsService[]): string {
  const inet = family === 'IPv4' ? 'inet' : 'inet6';
  const name = (text: string): string => setName(family, text);
  const frontends = services.map(({ number, endpoint }) => ({ ...frontendsOf(number, family), endpoint }));
  const lines = [
    ...Object.entries(hashSets).flatMap(([type, names]) =>
      names.map((text) => `create ${name(text)} ${type} family ${inet} hashsize 1024 maxelem 65536`),
    ),
    ...portSets.map((text) => `create ${name(text)} bitmap:port range 0-65535`),
    ...frontends.flatMap(({ clusterIP, loadBalancerIP, nodePort, endpoint }) => [
      `add ${name('CLUSTER-IP')} ${clusterIP},tcp:${servicePort}`,
      `add ${name('LOAD-BALANCER')} ${loadBalancerIP},tcp:${servicePort}`,
      `add ${name('LOOP-BACK')} ${endpoint},tcp:${targetPort},${endpoint}`,
      `add ${name('NODE-PORT-TCP')} ${nodePort}`,
      `add ${name('IPVS-IPS')} ${clusterIP}`,
      `add ${name('IPVS-IPS')} ${loadBalancerIP}`,
    ]),
  ];
  return `${[...new Set(lines)].join('\n')}\n`;
}

/** The rules that go with them, but for those that need the kernel's IPVS. Input for `iptables-restore --noflush`. */
export function ipvsRulesText(family: Family): string {
  const name = (text: string): string => setName(family, text);
  const match = (text: string, sides: string): string => `-m set --match-set ${name(text)} ${sides}`;
  const jump = (chain: string, comment: string, target: string): string =>
    `-I ${chain} 1 -m comment --comment "${comment}" -j ${target}`;
  return [
    '*nat',
    ...['SERVICES', 'POSTROUTING', 'NODE-PORT', 'LOAD-BALANCER', 'MARK-MASQ'].map(
      (chain) => `:KUBE-${chain} - [0:0]`,
    ),
    jump('OUTPUT', 'kubernetes service portals', 'KUBE-SERVICES'),
    jump('PREROUTING', 'kubernetes service portals', 'KUBE-SERVICES'),
    jump('POSTROUTING', 'kubernetes postrouting rules', 'KUBE-POSTROUTING'),
    `-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" ${match('LOOP-BACK', 'dst,dst,src')} -j MASQUERADE`,
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
    '-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000',
    '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
    `-A KUBE-SERVICES -m comment --comment "Kubernetes service lb portal" ${match('LOAD-BALANCER', 'dst,dst')} -j KUBE-LOAD-BALANCER`,
    `-A KUBE-SERVICES -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" ${match('CLUSTER-IP', 'src,dst')} -j KUBE-MARK-MASQ`,
    '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT',
    `-A KUBE-SERVICES ${match('CLUSTER-IP', 'dst,dst')} -j ACCEPT`,
    `-A KUBE-SERVICES ${match('LOAD-BALANCER', 'dst,dst')} -j ACCEPT`,
    `-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" ${match('NODE-PORT-TCP', 'dst')} -j KUBE-MARK-MASQ`,
    '-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ',
    'COMMIT',
    '*filter',
    ...[
      'FORWARD',
      'NODE-PORT',
      'PROXY-FIREWALL',
      'SOURCE-RANGES-FIREWALL',
      'IPVS-FILTER',
      'IPVS-OUT-FILTER',
    ].map((chain) => `:KUBE-${chain} - [0:0]`),
    jump('FORWARD', 'kubernetes forwarding rules', 'KUBE-FORWARD'),
    jump('INPUT', 'kubernetes health check rules', 'KUBE-NODE-PORT'),
    jump('INPUT', 'kube-proxy firewall rules', 'KUBE-PROXY-FIREWALL'),
    jump('FORWARD', 'kube-proxy firewall rules', 'KUBE-PROXY-FIREWALL'),
    jump('INPUT', 'kubernetes ipvs access filter', 'KUBE-IPVS-FILTER'),
    jump('OUTPUT', 'kubernetes ipvs access filter', 'KUBE-IPVS-OUT-FILTER'),
    `-A KUBE-PROXY-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port for load balancer with sourceRange" ${match('LOAD-BALANCER-FW', 'dst,dst')} -j KUBE-SOURCE-RANGES-FIREWALL`,
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    `-A KUBE-NODE-PORT -m comment --comment "Kubernetes health check node port" ${match('HEALTH-CHECK-NODE-PORT', 'dst')} -j ACCEPT`,
    `-A KUBE-SOURCE-RANGES-FIREWALL ${match('LOAD-BALANCER-SOURCE-CIDR', 'dst,dst,src')} -j RETURN`,
    '-A KUBE-SOURCE-RANGES-FIREWALL -j DROP',
    `-A KUBE-IPVS-FILTER ${match('LOAD-BALANCER', 'dst,dst')} -j RETURN`,
    `-A KUBE-IPVS-FILTER ${match('CLUSTER-IP', 'dst,dst')} -j RETURN`,
    `-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW ${match('IPVS-IPS', 'dst')} -j REJECT`,
    'COMMIT',
    '',
  ].join('\n');
}
