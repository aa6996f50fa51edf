import type { NetworkPolicy, PodAddress, PolicyRule, PolicyType, Protocol } from '../../api/index.ts';
import type { PortRange } from '../../net/index.ts';
import { addressesIn, type PeerSet, peerSetsOf, subjectsOf } from './peers.ts';
import type { PodDirectory } from './pod-directory.ts';
import { joinPorts, type ProtocolPorts } from './ports.ts';

/** A part of a rule that one line of a firewall can say: what fits both the peers and the ports passes. A rule is the union of its clauses. */
export interface Clause {
  /** Where the other end must be; `undefined`: anywhere. */
  readonly peers: PeerSet | undefined;
  readonly ports: ClausePorts;
}

/**
 * `every`: every protocol, those without ports too. `protocol`: every port of one. `ranges`: sorted, joined, at least one.
 * `named`: the destination and its port must be one of the set's pairs.
 */
export type ClausePorts =
  | { readonly kind: 'every' }
  | { readonly kind: 'protocol'; readonly protocol: Protocol }
  | { readonly kind: 'ranges'; readonly protocol: Protocol; readonly ranges: readonly PortRange[] }
  | { readonly kind: 'named'; readonly set: NamedPortSet };

/** Pairs of address and number of all ports of one name and protocol on some pods. Two sets with equal keys have the same members. */
export interface NamedPortSet {
  readonly key: string;
  readonly protocol: Protocol;
  readonly name: string;
  /** The destination pods; `undefined`: every pod. Of blocks, the pods within. */
  readonly destinations: PeerSet | undefined;
}

export interface NamedPortMember {
  readonly address: PodAddress;
  readonly port: number;
}

/**
 * What one rule of a policy allows, in a fixed order. Empty when it allows nothing.
 * A name is resolved on the destination: for ingress on the pods that the policy selects, for egress on the peers, where
 * the pairs then say all there is to say about the peers.
 */
export function clausesOf(policy: NetworkPolicy, direction: PolicyType, rule: PolicyRule): readonly Clause[] {
  const peerSets = rule.peers === undefined ? [undefined] : peerSetsOf(policy, rule.peers);
  if (rule.ports === undefined) return peerSets.map((peers) => ({ peers, ports: { kind: 'every' } }));
  return joinPorts(rule.ports).flatMap((ports) =>
    peerSets.flatMap((peers) =>
      numberedClauses(peers, ports).concat(namedClauses(policy, direction, peers, ports)),
    ),
  );
}

function numberedClauses(peers: PeerSet | undefined, { protocol, ranges }: ProtocolPorts): readonly Clause[] {
  if (ranges === undefined) return [{ peers, ports: { kind: 'protocol', protocol } }];
  return ranges.length > 0 ? [{ peers, ports: { kind: 'ranges', protocol, ranges } }] : [];
}

function namedClauses(
  policy: NetworkPolicy,
  direction: PolicyType,
  peers: PeerSet | undefined,
  ports: ProtocolPorts,
): readonly Clause[] {
  return ports.names.map((name) => {
    const set = namedPortSet(ports.protocol, name, direction === 'Ingress' ? subjectsOf(policy) : peers);
    return { peers: direction === 'Ingress' ? peers : undefined, ports: { kind: 'named', set } };
  });
}

function namedPortSet(protocol: Protocol, name: string, destinations: PeerSet | undefined): NamedPortSet {
  const key = `ports ${JSON.stringify(name)} ${protocol} of ${destinations?.key ?? 'every pod'}`;
  return { key, protocol, name, destinations };
}

/** The pairs of a named port set, sorted by address text and number, each once. Empty when no pod has the name: the rule then allows nothing, and still isolates. */
export function namedPortMembers(set: NamedPortSet, directory: PodDirectory): readonly NamedPortMember[] {
  const members = new Map<string, NamedPortMember>();
  for (const { pod, address } of addressesIn(set.destinations, directory)) {
    for (const { name, protocol, port } of pod.namedPorts) {
      if (name === set.name && protocol === set.protocol)
        members.set(`${address.ip} ${port}`, { address, port });
    }
  }
  return [...members].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, member]) => member);
}
