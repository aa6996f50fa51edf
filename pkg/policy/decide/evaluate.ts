import type {
  LabelSelector,
  Namespace,
  NamespacedName,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  PolicyType,
  Protocol,
} from '../../api/index.ts';
import { namespacedName } from '../../api/index.ts';
import { cidrContains, parseAddress, parseCidr } from '../../net/index.ts';
import { isPolicyPod } from './policy-pods.ts';
import { selects } from './selectors.ts';

/** Everything a verdict depends on. Only pods that own one of the packet's two addresses matter: a caller with an index may pass just these. */
export interface PolicyWorld {
  readonly policies: readonly NetworkPolicy[];
  readonly pods: readonly Pod[];
  readonly namespaces: readonly Namespace[];
}

/** The first packet of a connection as `FORWARD` sees it: after DNAT, before masquerading. Addresses are canonical text. */
export interface Packet {
  readonly source: string;
  readonly destination: string;
  /** `ICMP` stands for every protocol without ports, ICMPv6 too. */
  readonly protocol: Protocol | 'ICMP';
  /** Means nothing for `ICMP`. */
  readonly destinationPort: number;
}

export interface Verdict {
  /** Neither half is denied. */
  readonly allowed: boolean;
  /** Judged at the destination pod, on its node. */
  readonly ingress: HalfVerdict;
  /** Judged at the source pod, on its node. */
  readonly egress: HalfVerdict;
}

/**
 * `open`: no policy isolates a pod at this end, or there is none. `allowed`: isolated, and these rules let the packet through.
 * `denied`: these policies isolate the pod and none of their rules lets the packet through. Sorted.
 */
export type HalfVerdict =
  | { readonly outcome: 'open' }
  | { readonly outcome: 'allowed'; readonly rules: readonly RuleReference[] }
  | { readonly outcome: 'denied'; readonly policies: readonly NamespacedName[] };

export interface RuleReference {
  readonly policy: NamespacedName;
  readonly direction: PolicyType;
  /** Place in the policy's `ingress` or `egress`, from 0. */
  readonly index: number;
}

/**
 * Whether NetworkPolicy lets a new connection through, and why: the reference that every other implementation in this
 * project is tested against, so it says what the API says and nothing clever. It judges pods' connections only: traffic
 * between a pod and its own node, replies, and ICMP errors of allowed connections always pass and never come here.
 *
 * Where two pods that count have one address (the API has not reported the old one gone yet), a peer means either, and
 * the packet must satisfy the policies of both: closed rather than open.
 */
export function evaluate(world: PolicyWorld, packet: Packet): Verdict {
  const sources = podsAt(world, packet.source);
  const destinations = podsAt(world, packet.destination);
  const ingress = judgeHalf(
    destinations.map((pod) => judgePod(world, packet, { direction: 'Ingress', pod, others: sources })),
  );
  const egress = judgeHalf(
    sources.map((pod) => judgePod(world, packet, { direction: 'Egress', pod, others: destinations })),
  );
  return { allowed: ingress.outcome !== 'denied' && egress.outcome !== 'denied', ingress, egress };
}

function podsAt(world: PolicyWorld, ip: string): readonly Pod[] {
  return world.pods.filter((pod) => isPolicyPod(pod) && pod.addresses.some((address) => address.ip === ip));
}

/** One end of the packet: the pod whose policies are asked, and the pods at the other end. */
interface End {
  readonly direction: PolicyType;
  readonly pod: Pod;
  readonly others: readonly Pod[];
}

function judgePod(world: PolicyWorld, packet: Packet, end: End): HalfVerdict {
  const isolating = world.policies.filter((policy) => isolates(policy, end));
  if (isolating.length === 0) return { outcome: 'open' };
  const rules = isolating.flatMap((policy) => allowingRules(world, policy, packet, end));
  if (rules.length > 0) return { outcome: 'allowed', rules };
  return { outcome: 'denied', policies: isolating.map(nameOf) };
}

/** Joins the verdicts on the pods at one address; almost always there is one pod or none. */
function judgeHalf(verdicts: readonly HalfVerdict[]): HalfVerdict {
  const denied = verdicts.filter((verdict) => verdict.outcome === 'denied');
  if (denied.length > 0) {
    return {
      outcome: 'denied',
      policies: [...new Set(denied.flatMap((verdict) => verdict.policies))].toSorted(),
    };
  }
  const allowed = verdicts.filter((verdict) => verdict.outcome === 'allowed');
  if (allowed.length === 0) return { outcome: 'open' };
  return { outcome: 'allowed', rules: sortRules(allowed.flatMap((verdict) => verdict.rules)) };
}

function isolates(policy: NetworkPolicy, { direction, pod }: End): boolean {
  return (
    policy.policyTypes.includes(direction) &&
    policy.namespace === pod.namespace &&
    selects(policy.podSelector, pod.labels)
  );
}

function allowingRules(
  world: PolicyWorld,
  policy: NetworkPolicy,
  packet: Packet,
  end: End,
): readonly RuleReference[] {
  const rules = end.direction === 'Ingress' ? policy.ingress : policy.egress;
  return rules.flatMap((rule, index) =>
    ruleAllows(world, policy, rule, packet, end)
      ? [{ policy: nameOf(policy), direction: end.direction, index }]
      : [],
  );
}

/** A rule allows what matches one of its peers and one of its ports. The other end is one pod, or nobody's address. */
function ruleAllows(
  world: PolicyWorld,
  policy: NetworkPolicy,
  rule: PolicyRule,
  packet: Packet,
  end: End,
): boolean {
  const others = end.others.length > 0 ? end.others : [undefined];
  return others.some((other) => {
    const ip = end.direction === 'Ingress' ? packet.source : packet.destination;
    const destination = end.direction === 'Ingress' ? end.pod : other;
    return (
      (rule.peers === undefined || rule.peers.some((peer) => peerMatches(world, policy, peer, ip, other))) &&
      (rule.ports === undefined || rule.ports.some((port) => portMatches(port, packet, destination)))
    );
  });
}

function peerMatches(
  world: PolicyWorld,
  policy: NetworkPolicy,
  peer: PolicyPeer,
  ip: string,
  other: Pod | undefined,
): boolean {
  if (peer.kind === 'ipBlock')
    return isWithin(peer.cidr, ip) && !peer.except.some((hole) => isWithin(hole, ip));
  if (other === undefined) return false;
  const isInNamespace =
    peer.namespaceSelector === undefined
      ? other.namespace === policy.namespace
      : namespaceMatches(world, peer.namespaceSelector, other.namespace);
  return isInNamespace && (peer.podSelector === undefined || selects(peer.podSelector, other.labels));
}

/** A namespace that is not known (yet) has no labels to judge by, so no selector means it, not even the empty one. */
function namespaceMatches(world: PolicyWorld, selector: LabelSelector, name: string): boolean {
  const namespace = world.namespaces.find((candidate) => candidate.name === name);
  return namespace !== undefined && selects(selector, namespace.labels);
}

function isWithin(block: string, ip: string): boolean {
  const cidr = parseCidr(block);
  const address = parseAddress(ip);
  return cidr !== undefined && address !== undefined && cidrContains(cidr, address);
}

/** A name means the ports of that name on the destination pod; an address outside the cluster has no names. */
function portMatches(port: PolicyPort, packet: Packet, destination: Pod | undefined): boolean {
  if (port.protocol !== packet.protocol) return false;
  switch (port.kind) {
    case 'any':
      return true;
    case 'range':
      return port.first <= packet.destinationPort && packet.destinationPort <= port.last;
    case 'named':
      return (
        destination !== undefined &&
        destination.namedPorts.some(
          ({ name, protocol, port: number }) =>
            name === port.name && protocol === port.protocol && number === packet.destinationPort,
        )
      );
  }
}

function nameOf(policy: NetworkPolicy): NamespacedName {
  return namespacedName(policy.namespace, policy.name);
}

function sortRules(rules: readonly RuleReference[]): readonly RuleReference[] {
  const unique = new Map(rules.map((rule) => [`${rule.policy} ${rule.index}`, rule]));
  return [...unique.values()].toSorted((a, b) =>
    a.policy === b.policy ? a.index - b.index : a.policy < b.policy ? -1 : 1,
  );
}
