import type { Diagnostic, NetworkPolicy, Pod, PolicyPort, PolicyRule } from '../../api/index.ts';
import { evaluate, type Packet, type PolicyWorld } from './evaluate.ts';
import { isPolicyPod } from './policy-pods.ts';
import { type Profile, profilesOf } from './profiles.ts';

const advice =
  'add an egress rule to namespaceSelector {kubernetes.io/metadata.name: kube-system} with podSelector {k8s-app: kube-dns}, ports UDP 53 and TCP 53';

/**
 * One hint for every policy whose egress isolation leaves pods unable to look up a name. The cluster's DNS pods are known by the label
 * that kubeadm and most distributions give them; without them any rule for UDP port 53 counts.
 * Where several policies isolate a pod, the one with the fewest egress rules is named: it is the one that denies.
 */
export function dnsHints(world: PolicyWorld): readonly Diagnostic[] {
  const dnsPods = world.pods.filter((pod) => isPolicyPod(pod) && isDNSPod(pod));
  const stranded = new Map<NetworkPolicy, Pod[]>();
  for (const profile of profilesOf('Egress', world.pods, world.policies)) {
    if (reachesDNS(profile, dnsPods, world)) continue;
    const [first] = profile.policies.toSorted((a, b) => a.egress.length - b.egress.length);
    if (first !== undefined) stranded.set(first, [...(stranded.get(first) ?? []), ...profile.pods]);
  }
  return [...stranded].map(([policy, pods]) => dnsHint(policy, pods));
}

function isDNSPod(pod: Pod): boolean {
  return pod.namespace === 'kube-system' && pod.labels['k8s-app'] === 'kube-dns';
}

function dnsHint({ namespace, name }: NetworkPolicy, pods: readonly Pod[]): Diagnostic {
  const [first] = pods.map((pod) => pod.name).toSorted();
  const who = pods.length === 1 ? `pod ${first}` : `${pods.length} pods (${first} and others)`;
  const message = `leaves ${who} without DNS: no policy allows egress to UDP port 53; ${advice}`;
  return { severity: 'hint', kind: 'NetworkPolicy', namespace, name, field: 'spec.egress', message };
}

/** A rule for everybody or for blocks counts wherever it points: a node's DNS cache and resolvers outside the cluster are no pods. */
function reachesDNS(profile: Profile, dnsPods: readonly Pod[], world: PolicyWorld): boolean {
  const rules = profile.policies.flatMap((policy) => policy.egress).filter(mayBeForDNS);
  if (rules.some(({ peers }) => peers === undefined || peers.some(({ kind }) => kind === 'ipBlock')))
    return true;
  if (dnsPods.length === 0) return rules.length > 0;
  // Equal policies give every pod of the profile the same egress, so one stands for all.
  const [pod] = profile.pods;
  return pod !== undefined && dnsPods.some((dnsPod) => reaches(pod, dnsPod, profile.policies, world));
}

function mayBeForDNS({ ports }: PolicyRule): boolean {
  return ports === undefined || ports.some(meansUDP53);
}

/** A name cannot be told without its pod; who writes one for UDP has thought of it. */
function meansUDP53(port: PolicyPort): boolean {
  return port.protocol === 'UDP' && (port.kind !== 'range' || (port.first <= 53 && 53 <= port.last));
}

/** One address of each will do: what is left here are rules by selector, which mean all addresses of a pod. */
function reaches(
  pod: Pod,
  dnsPod: Pod,
  policies: readonly NetworkPolicy[],
  { namespaces }: PolicyWorld,
): boolean {
  const [source, destination] = [pod.addresses[0]?.ip, dnsPod.addresses[0]?.ip];
  if (source === undefined || destination === undefined) return false;
  const narrowed: PolicyWorld = { policies, pods: [pod, dnsPod], namespaces };
  const packet: Packet = { source, destination, protocol: 'UDP', destinationPort: dnsPortOf(dnsPod) };
  return evaluate(narrowed, packet).egress.outcome !== 'denied';
}

/** Some distributions let their DNS pods listen elsewhere, behind the Service's port 53. */
function dnsPortOf(dnsPod: Pod): number {
  return dnsPod.namedPorts.find(({ name, protocol }) => name === 'dns' && protocol === 'UDP')?.port ?? 53;
}
