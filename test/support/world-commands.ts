import {
  bridgeMac,
  bridgeName,
  familyOfAddress,
  gatewaysOf,
  lanCidrs,
  lanGateways,
  type PodLink,
  type PodNetworkMode,
  prefixLength,
} from './world-layout.ts';

// Lines for `ip -batch`: one process for many steps, which is what makes a world quick to build.

/** Next hops that exist on no interface: static neighbour entries lead to the other end of the veth. */
const routedGateways = { IPv4: '169.254.1.1', IPv6: 'fe80::1' } as const;

/** A veth between two namespaces, with known addresses at both ends where neighbour entries need them. */
export function vethLine(
  one: { readonly namespace: string; readonly interface: string; readonly mac?: string },
  other: { readonly namespace: string; readonly interface: string; readonly mac?: string },
): string {
  const end = (side: typeof one): string =>
    `name ${side.interface}${side.mac === undefined ? '' : ` address ${side.mac}`} netns ${side.namespace}`;
  return `link add ${end(one)} type veth peer ${end(other)}`;
}

/**
 * The switch between nodes and clients. To be made before its ports, so that none of them has the same index as its
 * other end: the kernel would take such a pair for a device without a lower one, and notice its carrier a second late.
 */
export function lanBridgeLine(namespace: string): string {
  return `link add br0 netns ${namespace} type bridge mcast_snooping 0`;
}

/** In the namespace that is the wire between nodes and clients. */
export function lanLines(ports: readonly string[]): readonly string[] {
  return [
    ...lanGateways().map((address) => addressLine(address, prefixLength(lanCidrs, address), 'br0')),
    'link set br0 up',
    ...ports.flatMap((port) => [`link set ${port} master br0`, `link set ${port} up`]),
  ];
}

export function nodeLines(
  addresses: readonly string[],
  mode: PodNetworkMode,
  podCidrs: readonly string[],
  others: readonly { readonly addresses: readonly string[]; readonly podCidrs: readonly string[] }[],
): readonly string[] {
  const bridge = [
    `link add ${bridgeName} address ${bridgeMac} type bridge mcast_snooping 0`,
    ...gatewaysOf(podCidrs).map((address) =>
      addressLine(address, prefixLength(podCidrs, address), bridgeName),
    ),
    `link set ${bridgeName} up`,
  ];
  return [
    ...lanPortLines(addresses),
    // Without a default route the kernel refuses to send to a virtual address before any rule is asked.
    ...lanGateways().map((gateway) => `route add default via ${gateway} dev eth0`),
    ...others.flatMap((other) => podRoutes(other.podCidrs, other.addresses)),
    ...(mode === 'bridged' ? bridge : []),
  ];
}

export function clientLines(
  addresses: readonly string[],
  nodes: readonly { readonly addresses: readonly string[]; readonly podCidrs: readonly string[] }[],
): readonly string[] {
  return [
    ...lanPortLines(addresses),
    ...(nodes[0]?.addresses ?? []).map((address) => `route add default via ${address} dev eth0`),
    ...nodes.flatMap((node) => podRoutes(node.podCidrs, node.addresses)),
  ];
}

/** On the node, for a new pod. */
export function podLinesOnNode(mode: PodNetworkMode, link: PodLink): readonly string[] {
  const device = link.nodeInterface;
  if (mode === 'bridged') {
    return [
      `link set ${device} master ${bridgeName}`,
      // A pod that reaches itself through a Service comes back by the port it came from.
      `link set ${device} type bridge_slave hairpin on`,
      `link set ${device} up`,
      ...link.addresses.map((address) => `route replace ${address} dev ${bridgeName}`),
    ];
  }
  return [
    `link set ${device} up`,
    ...link.addresses.flatMap((address) => [
      `route replace ${address} dev ${device}`,
      `neighbour replace ${address} lladdr ${link.podMac} dev ${device} nud permanent`,
    ]),
  ];
}

/** In the new pod. */
export function podLines(
  mode: PodNetworkMode,
  link: PodLink,
  podCidrs: readonly string[],
): readonly string[] {
  const up = ['link set lo up', 'link set eth0 up'];
  if (mode === 'bridged') {
    return [
      ...up,
      ...link.addresses.map((address) => addressLine(address, prefixLength(podCidrs, address), 'eth0')),
      ...gatewaysOf(podCidrs).map((gateway) => `route add default via ${gateway} dev eth0 onlink`),
    ];
  }
  const gateways = link.addresses.map((address) => routedGateways[familyOfAddress(address)]);
  return [
    ...up,
    ...link.addresses.map((address) => addressLine(address, prefixLength([], address), 'eth0')),
    ...[...new Set(gateways)].flatMap((gateway) => [
      `neighbour add ${gateway} lladdr ${link.nodeMac} dev eth0 nud permanent`,
      `route add default via ${gateway} dev eth0 onlink`,
    ]),
  ];
}

/**
 * A shell script for a namespace whose interfaces exist but are down. Addresses are usable at once (no duplicate address
 * detection), packets may come and go by different ways, and each refused connection is told so (ICMP errors are
 * otherwise limited to one a second).
 */
export function sysctlScript(role: 'machine' | 'lan' | 'node', mode: PodNetworkMode = 'routed'): string {
  const zero = [
    'ipv4/conf/*/rp_filter',
    'ipv4/conf/*/send_redirects',
    'ipv4/conf/*/accept_redirects',
    'ipv6/conf/*/accept_redirects',
    'ipv6/conf/*/accept_dad',
    'ipv6/conf/*/accept_ra',
    'ipv6/conf/*/disable_ipv6',
    'ipv4/icmp_ratelimit',
    'ipv6/icmp/ratelimit',
  ];
  const bridgeCalls = role === 'node' && mode === 'bridged' ? 1 : 0;
  const one = role === 'node' ? ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'] : [];
  return [
    'cd /proc/sys/net',
    `for file in ${zero.join(' ')}; do echo 0 >"$file"; done`,
    ...one.map((file) => `echo 1 >${file}`),
    `for file in bridge/bridge-nf-call-ip*tables; do if [ -e "$file" ]; then echo ${bridgeCalls} >"$file"; fi; done`,
  ].join('\n');
}

function lanPortLines(addresses: readonly string[]): readonly string[] {
  return [
    'link set lo up',
    ...addresses.map((address) => addressLine(address, prefixLength(lanCidrs, address), 'eth0')),
    'link set eth0 up',
  ];
}

function podRoutes(podCidrs: readonly string[], via: readonly string[]): readonly string[] {
  return podCidrs.flatMap((cidr) => {
    const next = via.find((address) => familyOfAddress(address) === familyOfAddress(cidr));
    return next === undefined ? [] : [`route add ${cidr} via ${next} dev eth0`];
  });
}

function addressLine(address: string, length: number, device: string): string {
  return `address add ${address}/${length} dev ${device}${address.includes(':') ? ' nodad' : ''}`;
}
