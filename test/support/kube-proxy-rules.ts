import { nameHash } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';

/** What kube-proxy knows of one port of a Service, in the few words that a test needs. */
export interface KubeProxyServicePort {
  /** `namespace/name` or `namespace/name:port`. */
  readonly id: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly clusterIP: string;
  readonly port: number;
  readonly endpoints: readonly KubeProxyEndpoint[];
  readonly nodePort?: number;
  readonly externalIPs?: readonly string[];
  readonly loadBalancerIPs?: readonly string[];
  readonly sourceRanges?: readonly string[];
  readonly externalTrafficPolicy?: 'Cluster' | 'Local';
  readonly internalTrafficPolicy?: 'Cluster' | 'Local';
  readonly affinitySeconds?: number;
  readonly healthCheckNodePort?: number;
}

export interface KubeProxyEndpoint {
  readonly address: string;
  readonly port: number;
  /** On this node. */
  readonly local?: boolean;
}

export interface KubeProxyOptions {
  readonly family: Family;
  /** The local detector: pods are what has a source address in here. Without it there is none. */
  readonly clusterCidr?: string;
  /** nat chains that are there already; per-service ones that are not wanted any more are deleted in the same restore. */
  readonly existingNatChains?: readonly string[];
}

const masquerade = 'KUBE-MARK-MASQ';
const staticFilterChains = [
  'KUBE-SERVICES',
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-FORWARD',
  'KUBE-NODEPORTS',
  'KUBE-PROXY-FIREWALL',
];
const staticNatChains = ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', masquerade];
const perServicePrefixes = ['KUBE-SVC-', 'KUBE-SVL-', 'KUBE-EXT-', 'KUBE-FW-', 'KUBE-SEP-'];
const nodePortsLast = 'kubernetes service nodeports; NOTE: this must be the last rule in this chain';

/** Rules of one sync, by table; chains in the order of their lines. */
interface Rules {
  readonly natChains: string[];
  readonly nat: string[];
  readonly filter: string[];
}

interface Names {
  readonly cluster: string;
  readonly local: string;
  readonly external: string;
  readonly firewall: string;
}

/**
 * What kube-proxy 1.36 gives to `iptables-restore --noflush` on a full sync of its iptables mode: chains, rules and the
 * clean-up of stale per-service chains, in one text. Jumps from the built-in chains are not part of it.
 */
export function kubeProxySync(services: readonly KubeProxyServicePort[], options: KubeProxyOptions): string {
  const rules: Rules = { natChains: [], nat: [], filter: [] };
  for (const service of services) addServicePort(rules, service, options);
  const stale = kubeProxyStaleChains(options.existingNatChains ?? [], rules.natChains);
  return [
    '*filter',
    ...staticFilterChains.map(chainLine),
    ...rules.filter,
    '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT',
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    'COMMIT',
    '*nat',
    ...[...staticNatChains, ...rules.natChains, ...stale].map(chainLine),
    '-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN',
    '-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000',
    '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    `-A ${masquerade} -j MARK --or-mark 0x00004000`,
    ...rules.nat,
    `-A KUBE-SERVICES -m comment --comment "${nodePortsLast}" -m addrtype --dst-type LOCAL ${notLoopback(options.family)} -j KUBE-NODEPORTS`,
    ...stale.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ].join('\n');
}

/** The chains that kube-proxy would delete: per-service ones by their prefix, unless it has just written them. */
export function kubeProxyStaleChains(
  existing: readonly string[],
  active: readonly string[],
): readonly string[] {
  const wanted = new Set(active);
  const isPerService = (chain: string): boolean =>
    perServicePrefixes.some((prefix) => chain.startsWith(prefix));
  return existing.filter((chain) => isPerService(chain) && !wanted.has(chain)).toSorted();
}

/** Static chains and the jumps to them from the built-in chains, as they stand top-down after a first sync on a clean host. */
export function kubeProxyJumps(): string {
  const isNew = '-m conntrack --ctstate NEW ';
  const jump = (builtin: string, state: string, comment: string, chain: string): string =>
    `-I ${builtin} ${state}-m comment --comment "${comment}" -j ${chain}`;
  const portals = 'kubernetes service portals';
  const external = 'kubernetes externally-visible service portals';
  const firewall = 'kubernetes load balancer firewall';
  return [
    '*filter',
    ...[...staticFilterChains, 'KUBE-FIREWALL'].map(chainLine),
    jump('INPUT', isNew, external, 'KUBE-EXTERNAL-SERVICES'),
    jump('FORWARD', isNew, external, 'KUBE-EXTERNAL-SERVICES'),
    jump('INPUT', '', 'kubernetes health check service ports', 'KUBE-NODEPORTS'),
    jump('FORWARD', isNew, portals, 'KUBE-SERVICES'),
    jump('OUTPUT', isNew, portals, 'KUBE-SERVICES'),
    jump('FORWARD', '', 'kubernetes forwarding rules', 'KUBE-FORWARD'),
    ...['INPUT', 'OUTPUT', 'FORWARD'].map((builtin) => jump(builtin, isNew, firewall, 'KUBE-PROXY-FIREWALL')),
    '-I INPUT -j KUBE-FIREWALL',
    '-I OUTPUT -j KUBE-FIREWALL',
    'COMMIT',
    '*nat',
    ...staticNatChains.map(chainLine),
    jump('OUTPUT', '', portals, 'KUBE-SERVICES'),
    jump('PREROUTING', '', portals, 'KUBE-SERVICES'),
    jump('POSTROUTING', '', 'kubernetes postrouting rules', 'KUBE-POSTROUTING'),
    'COMMIT',
    '',
  ].join('\n');
}

function addServicePort(rules: Rules, service: KubeProxyServicePort, options: KubeProxyOptions): void {
  const local = service.endpoints.filter((endpoint) => endpoint.local === true);
  const localOnly = {
    internal: service.internalTrafficPolicy === 'Local',
    external: service.externalTrafficPolicy === 'Local',
  };
  const internally = localOnly.internal ? local : service.endpoints;
  const externally = localOnly.external ? local : service.endpoints;
  const names = chainNames(service);
  addDispatch(rules, service, names, {
    internally: internally.length > 0,
    externally: externally.length > 0,
  });
  if (service.endpoints.length === 0) return;
  const isExternal = frontAddresses(service).length > 0 || service.nodePort !== undefined;

  if (isExternal) addExternalChain(rules, service, names, options, externally.length > 0);
  if (hasFirewall(service)) addFirewallChain(rules, service, names);
  const usesCluster = !localOnly.internal || isExternal;
  const usesLocal = localOnly.internal || (localOnly.external && isExternal);
  const internalChain = localOnly.internal ? names.local : names.cluster;
  const chains = [
    ...(usesCluster ? [{ chain: names.cluster, endpoints: service.endpoints }] : []),
    ...(usesLocal && local.length > 0 ? [{ chain: names.local, endpoints: local }] : []),
  ];
  for (const { chain, endpoints } of chains) {
    rules.natChains.push(chain);
    if (chain === internalChain && internally.length > 0 && options.clusterCidr !== undefined) {
      const match = `-m comment --comment "${service.id} cluster IP" ${matchOf(service, service.clusterIP)}`;
      rules.nat.push(`-A ${chain} ${match} ! -s ${options.clusterCidr} -j ${masquerade}`);
    }
    addLoadBalancing(rules, service, chain, endpoints);
  }
  for (const endpoint of usesCluster ? service.endpoints : local) addEndpointChain(rules, service, endpoint);
}

/** The rules that recognise the addresses of the Service, and refuse what has nowhere to go. */
function addDispatch(
  rules: Rules,
  service: KubeProxyServicePort,
  names: Names,
  has: { readonly internally: boolean; readonly externally: boolean },
): void {
  const hasEndpoints = service.endpoints.length > 0;
  const refusal = hasEndpoints
    ? { comment: `${service.id} has no local endpoints`, target: 'DROP' }
    : { comment: `${service.id} has no endpoints`, target: 'REJECT' };
  const refuse = (chain: string, match: string): void => {
    rules.filter.push(`-A ${chain} -m comment --comment "${refusal.comment}" ${match} -j ${refusal.target}`);
  };
  const accept = (address: string, what: string, target: string): void => {
    rules.nat.push(
      `-A KUBE-SERVICES -m comment --comment "${service.id} ${what}" ${matchOf(service, address)} -j ${target}`,
    );
  };
  if (has.internally) {
    accept(
      service.clusterIP,
      'cluster IP',
      service.internalTrafficPolicy === 'Local' ? names.local : names.cluster,
    );
  } else {
    refuse('KUBE-SERVICES', matchOf(service, service.clusterIP));
  }
  for (const address of service.externalIPs ?? []) {
    if (hasEndpoints) accept(address, 'external IP', names.external);
    if (!has.externally) refuse('KUBE-EXTERNAL-SERVICES', matchOf(service, address));
  }
  for (const address of service.loadBalancerIPs ?? []) {
    const firewalled = hasEndpoints && hasFirewall(service);
    if (hasEndpoints) accept(address, 'loadbalancer IP', firewalled ? names.firewall : names.external);
    if (firewalled) {
      const comment = `${service.id} traffic not accepted by ${names.firewall}`;
      rules.filter.push(
        `-A KUBE-PROXY-FIREWALL -m comment --comment "${comment}" ${matchOf(service, address)} -j DROP`,
      );
    }
    if (!has.externally) refuse('KUBE-EXTERNAL-SERVICES', matchOf(service, address));
  }
  if (service.nodePort !== undefined) {
    const match = `-m ${service.protocol} -p ${service.protocol} --dport ${service.nodePort}`;
    if (hasEndpoints)
      rules.nat.push(`-A KUBE-NODEPORTS -m comment --comment ${service.id} ${match} -j ${names.external}`);
    if (!has.externally) refuse('KUBE-EXTERNAL-SERVICES', `-m addrtype --dst-type LOCAL ${match}`);
  }
  if (service.healthCheckNodePort !== undefined) {
    const comment = `-m comment --comment "${service.id} health check node port"`;
    rules.filter.push(
      `-A KUBE-NODEPORTS ${comment} -m tcp -p tcp --dport ${service.healthCheckNodePort} -j ACCEPT`,
    );
  }
}

function addExternalChain(
  rules: Rules,
  service: KubeProxyServicePort,
  names: Names,
  options: KubeProxyOptions,
  hasExternally: boolean,
): void {
  const chain = names.external;
  const add = (comment: string, rest: string): void => {
    rules.nat.push(
      `-A ${chain} -m comment --comment "${comment} for ${service.id} external destinations" ${rest}`,
    );
  };
  rules.natChains.push(chain);
  if (service.externalTrafficPolicy !== 'Local') {
    add('masquerade traffic', `-j ${masquerade}`);
    rules.nat.push(`-A ${chain} -j ${names.cluster}`);
    return;
  }
  if (options.clusterCidr !== undefined) add('pod traffic', `-s ${options.clusterCidr} -j ${names.cluster}`);
  add('masquerade LOCAL traffic', `-m addrtype --src-type LOCAL -j ${masquerade}`);
  add('route LOCAL traffic', `-m addrtype --src-type LOCAL -j ${names.cluster}`);
  if (hasExternally) rules.nat.push(`-A ${chain} -j ${names.local}`);
}

function addFirewallChain(rules: Rules, service: KubeProxyServicePort, names: Names): void {
  rules.natChains.push(names.firewall);
  for (const range of service.sourceRanges ?? []) {
    const comment = `-m comment --comment "${service.id} loadbalancer IP"`;
    rules.nat.push(`-A ${names.firewall} ${comment} -s ${range} -j ${names.external}`);
  }
  const rest = `other traffic to ${service.id} will be dropped by KUBE-PROXY-FIREWALL`;
  rules.nat.push(`-A ${names.firewall} -m comment --comment "${rest}"`);
}

function addLoadBalancing(
  rules: Rules,
  service: KubeProxyServicePort,
  chain: string,
  endpoints: readonly KubeProxyEndpoint[],
): void {
  const sorted = endpoints.toSorted((one, other) => (socketAddress(one) < socketAddress(other) ? -1 : 1));
  const comment = (endpoint: KubeProxyEndpoint): string =>
    `-m comment --comment "${service.id} -> ${socketAddress(endpoint)}"`;
  if (service.affinitySeconds !== undefined) {
    for (const endpoint of sorted) {
      const name = endpointChain(service, endpoint);
      const recent = `-m recent --name ${name} --rcheck --seconds ${service.affinitySeconds} --reap`;
      rules.nat.push(`-A ${chain} ${comment(endpoint)} ${recent} -j ${name}`);
    }
  }
  for (const [index, endpoint] of sorted.entries()) {
    const left = sorted.length - index;
    const random = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
    rules.nat.push(`-A ${chain} ${comment(endpoint)}${random} -j ${endpointChain(service, endpoint)}`);
  }
}

function addEndpointChain(rules: Rules, service: KubeProxyServicePort, endpoint: KubeProxyEndpoint): void {
  const chain = endpointChain(service, endpoint);
  const comment = `-m comment --comment ${service.id}`;
  const affinity = service.affinitySeconds === undefined ? '' : ` -m recent --name ${chain} --set`;
  const destination = `-m ${service.protocol} -p ${service.protocol} -j DNAT --to-destination ${socketAddress(endpoint)}`;
  rules.natChains.push(chain);
  rules.nat.push(`-A ${chain} ${comment} -s ${endpoint.address} -j ${masquerade}`);
  rules.nat.push(`-A ${chain} ${comment}${affinity} ${destination}`);
}

function frontAddresses(service: KubeProxyServicePort): readonly string[] {
  return [...(service.externalIPs ?? []), ...(service.loadBalancerIPs ?? [])];
}

function hasFirewall(service: KubeProxyServicePort): boolean {
  return (service.loadBalancerIPs ?? []).length > 0 && (service.sourceRanges ?? []).length > 0;
}

function chainNames(service: KubeProxyServicePort): Names {
  const hash = nameHash(`${service.id}${service.protocol}`);
  return {
    cluster: `KUBE-SVC-${hash}`,
    local: `KUBE-SVL-${hash}`,
    external: `KUBE-EXT-${hash}`,
    firewall: `KUBE-FW-${hash}`,
  };
}

function endpointChain(service: KubeProxyServicePort, endpoint: KubeProxyEndpoint): string {
  return `KUBE-SEP-${nameHash(`${service.id}${service.protocol}${socketAddress(endpoint)}`)}`;
}

function socketAddress(endpoint: KubeProxyEndpoint): string {
  const { address, port } = endpoint;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function matchOf(service: KubeProxyServicePort, address: string): string {
  return `-m ${service.protocol} -p ${service.protocol} -d ${address} --dport ${service.port}`;
}

function notLoopback(family: Family): string {
  return family === 'IPv4' ? '! -d 127.0.0.0/8' : '! -d ::1/128';
}

function chainLine(chain: string): string {
  return `:${chain} - [0:0]`;
}
