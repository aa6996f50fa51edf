import type {
  LabelSelector,
  Namespace,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
} from '../../pkg/api/index.ts';
import type { PolicyWorld } from '../../pkg/policy/decide/index.ts';
import type { Manifest } from './service-manifests.ts';

/** The objects of a world as files have them; every pod that the world puts nowhere is on this node. */
export function worldManifests(world: PolicyWorld, nodeName: string): readonly Manifest[] {
  return [
    ...world.namespaces.map(namespaceObject),
    ...world.pods.map((pod) => podObject(pod, pod.nodeName || nodeName)),
    ...world.policies.map(policyObject),
  ];
}

function namespaceObject({ name, labels }: Namespace): Manifest {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

function podObject(pod: Pod, nodeName: string): Manifest {
  const { namespace, name, uid, labels, hostNetwork, addresses, phase, namedPorts, terminating } = pod;
  const ports = namedPorts.map((one) => ({
    name: one.name,
    protocol: one.protocol,
    containerPort: one.port,
  }));
  const podIPs = addresses.map(({ ip }) => ({ ip }));
  const deletion = terminating ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, uid, labels, ...deletion },
    spec: { nodeName, hostNetwork, containers: [{ name: 'main', image: 'none', ports }] },
    status: { phase, podIP: podIPs[0]?.ip, podIPs },
  };
}

function policyObject(policy: NetworkPolicy): Manifest {
  const { namespace, name, podSelector, policyTypes, ingress, egress } = policy;
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace, name },
    spec: {
      podSelector: selectorObject(podSelector),
      policyTypes,
      ingress: ingress.map((rule) => ruleObject(rule, 'from')),
      egress: egress.map((rule) => ruleObject(rule, 'to')),
    },
  };
}

function ruleObject({ peers, ports }: PolicyRule, side: 'from' | 'to'): Manifest {
  return { [side]: peers?.map(peerObject), ports: ports?.map(portObject) };
}

function peerObject(peer: PolicyPeer): Manifest {
  if (peer.kind === 'ipBlock') return { ipBlock: { cidr: peer.cidr, except: peer.except } };
  return {
    namespaceSelector: peer.namespaceSelector && selectorObject(peer.namespaceSelector),
    podSelector: peer.podSelector && selectorObject(peer.podSelector),
  };
}

function portObject(port: PolicyPort): Manifest {
  const { protocol } = port;
  switch (port.kind) {
    case 'any':
      return { protocol };
    case 'named':
      return { protocol, port: port.name };
    case 'range':
      return port.first === port.last
        ? { protocol, port: port.first }
        : { protocol, port: port.first, endPort: port.last };
  }
}

function selectorObject({ matchLabels, matchExpressions }: LabelSelector): Manifest {
  return { matchLabels, matchExpressions };
}
