import { type Address, type Cidr, type Family, formatAddress, parseCidr } from '../../pkg/net/index.ts';

/** What a test asks for. Names are free; they need only differ. */
export interface WorldSpec {
  readonly nodes: readonly NodeSpec[];
  /** Machines outside the cluster. Whatever is not on their own network they send to the first node. */
  readonly clients?: readonly (string | MachineSpec)[];
}

export interface NodeSpec {
  readonly name: string;
  /**
   * `routed` (default): a veth and a host route for each pod, as Calico and cloud CNIs do. `bridged`: all pods on one
   * bridge `cni0`, whose traffic is shown to iptables, as flannel and the bridge plugin do.
   */
  readonly mode?: PodNetworkMode;
  readonly pods?: readonly (string | MachineSpec)[];
  /** One of each family; default 10.244.N.0/24 and fd00:10:244:N::/64, N from 1. */
  readonly podCidrs?: readonly string[];
}

export const podNetworkModes = ['routed', 'bridged'] as const;
export type PodNetworkMode = (typeof podNetworkModes)[number];

export interface MachineSpec {
  readonly name: string;
  /** Default: the next free address of each family. */
  readonly addresses?: readonly string[];
}

/** A pod as it is wired up. */
export interface PodLink {
  /** On the node; in the pod it is always `eth0`. */
  readonly nodeInterface: string;
  readonly podMac: string;
  readonly nodeMac: string;
  readonly addresses: readonly string[];
}

export const bridgeName = 'cni0';
/** One for all nodes, since each has a wire of its own. Without it a bridge has that of one of its ports, and another when that goes. */
export const bridgeMac = '0a:00:00:00:00:01';
export const lanCidrs = ['172.18.0.0/24', 'fd00:172:18::/64'] as const;
const firstPod = 10;
const firstNode = 11;
const firstClient = 101;
const lanGateway = 254;

export function podCidrsOf(spec: NodeSpec, nodeIndex: number): readonly string[] {
  return spec.podCidrs ?? [`10.244.${nodeIndex + 1}.0/24`, `fd00:10:244:${nodeIndex + 1}::/64`];
}

/** The address of the node on its bridge: the first of each range. */
export function gatewaysOf(podCidrs: readonly string[]): readonly string[] {
  return addressesAt(podCidrs, 1);
}

export function lanGateways(): readonly string[] {
  return addressesAt(lanCidrs, lanGateway);
}

export function nodeAddresses(nodeIndex: number): readonly string[] {
  return addressesAt(lanCidrs, firstNode + nodeIndex);
}

export function clientAddresses(spec: MachineSpec, clientIndex: number): readonly string[] {
  return spec.addresses ?? addressesAt(lanCidrs, firstClient + clientIndex);
}

/** `podIndex` counts all pods that the node ever had, so that an address comes back only when a test asks for it. */
export function podLink(
  spec: MachineSpec,
  podCidrs: readonly string[],
  nodeIndex: number,
  podIndex: number,
): PodLink {
  return {
    nodeInterface: `veth${podIndex}`,
    podMac: mac('02', nodeIndex, podIndex),
    nodeMac: mac('06', nodeIndex, podIndex),
    addresses: spec.addresses ?? addressesAt(podCidrs, firstPod + podIndex),
  };
}

export function machineSpec(spec: string | MachineSpec): MachineSpec {
  return typeof spec === 'string' ? { name: spec } : spec;
}

export function familyOfAddress(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/** The prefix length that the ranges give to addresses of a family; that of a single address where there is none. */
export function prefixLength(cidrs: readonly string[], address: string): number {
  const family = familyOfAddress(address);
  const range = cidrs.map(cidrOf).find((cidr) => cidr.family === family);
  return range?.length ?? (family === 'IPv4' ? 32 : 128);
}

function addressesAt(cidrs: readonly string[], offset: number): readonly string[] {
  return cidrs.map((text) => {
    const cidr = cidrOf(text);
    const address: Address = { family: cidr.family, bits: cidr.bits + BigInt(offset) };
    return formatAddress(address);
  });
}

function cidrOf(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new RangeError(`not a CIDR: ${text}`);
  return cidr;
}

function mac(prefix: string, nodeIndex: number, podIndex: number): string {
  const bytes = [nodeIndex & 255, podIndex >> 8, podIndex & 255];
  return [prefix, '00', '00', ...bytes.map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
