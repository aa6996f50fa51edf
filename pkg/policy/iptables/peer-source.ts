import type { Labels, Pod } from '../../api/index.ts';
import type { SetSpec } from '../../kernel/index.ts';
import { type Cidr, cidrContains, type Family, formatCidr, parseAddress } from '../../net/index.ts';
import { type NamedPortSet, type PeerSet, type PodPeers, podPeersMatch } from '../decide/index.ts';
import { contentSet, ruleProtocol } from './policy-names.ts';

/** A set that a rule looks into, and where its members come from. */
export type PeerSource = FixedPeers | FollowedPeers;

/** Blocks: no pod changes the members. */
export interface FixedPeers {
  readonly kind: 'fixed';
  readonly spec: SetSpec;
  readonly members: readonly string[];
}

/** Pods, or named ports of pods. */
export interface FollowedPeers {
  readonly kind: 'followed';
  readonly spec: SetSpec;
  /** Whether any pod of this pod's namespace can be meant. `labels` are the namespace's; `undefined` when it is not known. */
  readonly wantsNamespaceOf: (pod: Pod, labels: Labels | undefined) => boolean;
  /** What the pod, one that counts, puts into the set, each member once. */
  readonly membersOf: (pod: Pod, labels: Labels | undefined) => readonly string[];
}

/** A pod's addresses of one family; at most one, in fact. */
export function addressesOf(pod: Pod, family: Family): readonly string[] {
  return pod.addresses.filter((address) => address.family === family).map(({ ip }) => ip);
}

/** The set for the peers of a rule; `undefined` where they are blocks of the other family only. */
export function peerSource(family: Family, peers: PeerSet): PeerSource | undefined {
  if (peers.kind === 'pods') {
    return {
      kind: 'followed',
      spec: contentSet(family, 'PODS', peers.key),
      wantsNamespaceOf: namespaceTest(peers),
      membersOf: (pod, labels) => (podPeersMatch(peers, pod, labels) ? addressesOf(pod, family) : []),
    };
  }
  const cidrs = peers.cidrs.filter((cidr) => cidr.family === family);
  if (cidrs.length === 0) return undefined;
  const members = cidrs.flatMap(netMembers);
  return { kind: 'fixed', spec: contentSet(family, 'NETS', members.join(' ')), members };
}

/** The named ports of a rule, as pairs of address and port. */
export function namedPortSource(family: Family, set: NamedPortSet): FollowedPeers {
  const { destinations, name, protocol } = set;
  const holds = destinationTest(family, destinations);
  return {
    kind: 'followed',
    spec: contentSet(family, 'PORTS', set.key),
    wantsNamespaceOf: destinations?.kind === 'pods' ? namespaceTest(destinations) : () => true,
    membersOf: (pod, labels) => {
      const ports = pod.namedPorts.filter((port) => port.name === name && port.protocol === protocol);
      if (ports.length === 0) return [];
      const numbers = [...new Set(ports.map(({ port }) => port))];
      return addressesOf(pod, family)
        .filter((ip) => holds(pod, ip, labels))
        .flatMap((ip) => numbers.map((port) => `${ip},${ruleProtocol(protocol)}:${port}`));
    },
  };
}

function namespaceTest({ namespaces }: PodPeers): FollowedPeers['wantsNamespaceOf'] {
  const everyPod: PodPeers = {
    kind: 'pods',
    key: '',
    namespaces,
    podSelector: { matchLabels: {}, matchExpressions: [] },
  };
  return (pod, labels) => podPeersMatch(everyPod, pod, labels);
}

function destinationTest(
  family: Family,
  destinations: PeerSet | undefined,
): (pod: Pod, ip: string, labels: Labels | undefined) => boolean {
  if (destinations === undefined) return () => true;
  if (destinations.kind === 'pods') return (pod, _ip, labels) => podPeersMatch(destinations, pod, labels);
  const cidrs = destinations.cidrs.filter((cidr) => cidr.family === family);
  return (_pod, ip) => blocksContain(cidrs, ip);
}

/** The blocks are sorted and apart, and there may be thousands of them. */
function blocksContain(cidrs: readonly Cidr[], ip: string): boolean {
  const address = parseAddress(ip);
  if (address === undefined) return false;
  let low = 0;
  let high = cidrs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cidrs[middle]?.bits ?? 0n) <= address.bits) low = middle + 1;
    else high = middle;
  }
  const candidate = cidrs[low - 1];
  return candidate !== undefined && cidrContains(candidate, address);
}

/** In their canonical form: one address without its length, and /0, which the kernel refuses, as two halves. */
function netMembers(cidr: Cidr): readonly string[] {
  const { family, length } = cidr;
  if (length === 0) return family === 'IPv4' ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
  const text = formatCidr(cidr);
  return [length === (family === 'IPv4' ? 32 : 128) ? text.slice(0, text.indexOf('/')) : text];
}
