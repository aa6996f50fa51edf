import type { Protocol, Service } from '../../api/index.ts';
import { type ChainName, chainName, nameHash, type SetSpec, setName } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { type RoutedPort, routedPorts, type ServiceEndpoint } from '../decide/index.ts';

/** Chains that are always there, by kube-proxy's names. */
export const chains = {
  services: chainName('KUBE-SERVICES'),
  nodePorts: chainName('KUBE-NODEPORTS'),
  externalServices: chainName('KUBE-EXTERNAL-SERVICES'),
  postrouting: chainName('KUBE-POSTROUTING'),
  markMasq: chainName('KUBE-MARK-MASQ'),
  forward: chainName('KUBE-FORWARD'),
  proxyFirewall: chainName('KUBE-PROXY-FIREWALL'),
  /** Shared with kubelet, which keeps the same rule in it. */
  firewall: chainName('KUBE-FIREWALL'),
} as const;

/** Chains that only kube-proxy in IPVS mode has. Others of its chains have the names above, with other contents. */
export const ipvsChains = {
  nodePort: chainName('KUBE-NODE-PORT'),
  loadBalancer: chainName('KUBE-LOAD-BALANCER'),
  sourceRangesFirewall: chainName('KUBE-SOURCE-RANGES-FIREWALL'),
  filter: chainName('KUBE-IPVS-FILTER'),
  outFilter: chainName('KUBE-IPVS-OUT-FILTER'),
} as const;

/** Sets of kube-proxy in IPVS mode, of IPv4. */
const ipvsSetNames = [
  'KUBE-CLUSTER-IP',
  'KUBE-EXTERNAL-IP',
  'KUBE-EXTERNAL-IP-LOCAL',
  'KUBE-HEALTH-CHECK-NODE-PORT',
  'KUBE-IPVS-IPS',
  'KUBE-LOAD-BALANCER',
  'KUBE-LOAD-BALANCER-FW',
  'KUBE-LOAD-BALANCER-LOCAL',
  'KUBE-LOAD-BALANCER-SOURCE-CIDR',
  'KUBE-LOAD-BALANCER-SOURCE-IP',
  'KUBE-LOOP-BACK',
  'KUBE-NODE-PORT-LOCAL-SCTP-HASH',
  'KUBE-NODE-PORT-LOCAL-TCP',
  'KUBE-NODE-PORT-LOCAL-UDP',
  'KUBE-NODE-PORT-SCTP-HASH',
  'KUBE-NODE-PORT-TCP',
  'KUBE-NODE-PORT-UDP',
] as const;

/** The kernel's limit for the name of a set. */
const longestSetName = 31;

/** The sets of kube-proxy in IPVS mode, which cuts the longest of its names for IPv6. */
export function ipvsSets(family: Family): ReadonlySet<string> {
  if (family === 'IPv4') return new Set(ipvsSetNames);
  return new Set(ipvsSetNames.map((name) => name.replace('KUBE-', 'KUBE-6-').slice(0, longestSetName)));
}

/** Per-service chains by kube-proxy's prefixes: all of them are cleaned up by kube-proxy, too, should it come back. */
const perServicePrefixes = ['KUBE-SVC-', 'KUBE-SVL-', 'KUBE-EXT-', 'KUBE-FW-', 'KUBE-SEP-'] as const;

/** The chains of one service port. */
export interface ServiceChains {
  /** Balances over the endpoints for policy Cluster. */
  readonly cluster: ChainName;
  /** Balances over the endpoints for policy Local. */
  readonly local: ChainName;
  /** Traffic to node ports, external and load-balancer addresses. */
  readonly external: ChainName;
  /** Lets the allowed sources of a load-balancer address through. */
  readonly firewall: ChainName;
}

/** kube-proxy's names, with kube-proxy's hash of the service port. */
export function serviceChains(port: RoutedPort): ServiceChains {
  const hash = nameHash(port.id + port.protocol.toLowerCase());
  return {
    cluster: chainName(`KUBE-SVC-${hash}`),
    local: chainName(`KUBE-SVL-${hash}`),
    external: chainName(`KUBE-EXT-${hash}`),
    firewall: chainName(`KUBE-FW-${hash}`),
  };
}

/** The chains that a Service may have in one family, each with the service port that it is for (`namespace/name:port`). */
export function chainsOfService(service: Service, family: Family): readonly (readonly [ChainName, string])[] {
  return routedPorts(service, family).flatMap((port) =>
    Object.values(serviceChains(port)).map((chain: ChainName) => [chain, port.id] as const),
  );
}

/** The chain for one group of a service port's endpoints. */
export function groupChain(kind: 'SVC' | 'SVL', port: RoutedPort, group: number): ChainName {
  return chainName(
    `KUBE-${kind}-g${nameHash(`${port.id}${port.protocol.toLowerCase()} group ${group}`).slice(0, 15)}`,
  );
}

/** A node of a dispatch tree. The lower-case letter keeps it apart from the Services' own chains. */
export function treeChain(tree: string, prefix: string): ChainName {
  return chainName(`KUBE-SVC-t${nameHash(`${tree} ${prefix}`).slice(0, 15)}`);
}

/** The list in which xt_recent remembers the clients of an endpoint: kube-proxy's, so that clients stay through a take-over. */
export function affinityList(port: RoutedPort, endpoint: ServiceEndpoint): string {
  return `KUBE-SEP-${nameHash(port.id + port.protocol.toLowerCase() + endpoint.address)}`;
}

/** Whether a nat chain is one of those that come and go with Services. */
export function isPerServiceChain(name: string): boolean {
  return perServicePrefixes.some((prefix) => name.startsWith(prefix));
}

export function ruleProtocol(protocol: Protocol): 'tcp' | 'udp' | 'sctp' {
  switch (protocol) {
    case 'TCP':
      return 'tcp';
    case 'UDP':
      return 'udp';
    case 'SCTP':
      return 'sctp';
  }
}

/** The sets of one family. */
export interface ServiceSets {
  /** Routed cluster IPs with their ports: off-cluster traffic to them is masqueraded. */
  readonly clusterIPs: SetSpec;
  readonly rejectInternal: SetSpec;
  readonly dropInternal: SetSpec;
  readonly rejectExternal: SetSpec;
  readonly dropExternal: SetSpec;
  readonly rejectNodePorts: SetSpec;
  readonly dropNodePorts: SetSpec;
  /** Load-balancer addresses that not everybody may use. */
  readonly firewalled: SetSpec;
  /** Who may use them. */
  readonly sourceRanges: SetSpec;
  /** Endpoints that reach themselves through a Service. */
  readonly hairpin: SetSpec;
  readonly healthCheckPorts: SetSpec;
}

/** Far above any cluster; the memory follows the members, not the limit. */
const maxElements = 1_048_576;

export function serviceSets(family: Family): ServiceSets {
  const spec = (name: string, type: SetSpec['type']): SetSpec => ({
    name: setName(`WEIR-${family === 'IPv4' ? 4 : 6}-${name}`),
    type,
    family,
    maxElements,
  });
  return {
    clusterIPs: spec('CLUSTER-IPS', 'hash:ip,port'),
    rejectInternal: spec('REJECT-INTERNAL', 'hash:ip,port'),
    dropInternal: spec('DROP-INTERNAL', 'hash:ip,port'),
    rejectExternal: spec('REJECT-EXTERNAL', 'hash:ip,port'),
    dropExternal: spec('DROP-EXTERNAL', 'hash:ip,port'),
    rejectNodePorts: spec('REJECT-NODEPORTS', 'hash:net,port'),
    dropNodePorts: spec('DROP-NODEPORTS', 'hash:net,port'),
    firewalled: spec('FIREWALLED', 'hash:ip,port'),
    sourceRanges: spec('SOURCE-RANGES', 'hash:ip,port,net'),
    hairpin: spec('HAIRPIN', 'hash:ip,port,ip'),
    healthCheckPorts: spec('HEALTH-CHECK-PORTS', 'hash:net,port'),
  };
}
