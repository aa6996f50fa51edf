import { randomFrom } from './cluster.ts';

const podsEach = 100;

/** A cluster for policies: namespaces, pods and policies of ten shapes, as wire objects; the first pods are this node's. */
export function policyCluster(policies: number, pods: number, localPods: number): readonly object[] {
  const random = randomFrom(policies);
  const namespaces = Math.max(1, Math.ceil(pods / podsEach));
  return [
    ...Array.from({ length: namespaces }, (_, index) =>
      namespaceObject(index, { team: `team-${index % 7}` }),
    ),
    ...Array.from({ length: pods }, (_, index) => podObject(index, namespaces, index < localPods)),
    ...Array.from({ length: policies }, (_, index) => policyObject(index, namespaces, random)),
  ];
}

/** A pod of this node that the policies of `podPair` let talk to the server. */
export function policedClient(name: string, ip: string): object {
  return pairPod(name, 'client', ip);
}

function pairPod(name: string, app: string, ip: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'pair', labels: { app } },
    spec: { nodeName: 'node-0', containers: [{ name: 'c' }] },
    status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
  };
}

/** Two pods of this node at these addresses; `policed`: with policies in both directions that let the first reach the second. */
export function podPair(client: string, server: string, policed: boolean): readonly object[] {
  const select = (app: string): object => ({ podSelector: { matchLabels: { app } } });
  const policy = (name: string, spec: object): object => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'pair' },
    spec,
  });
  const pods = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'pair' } },
    pairPod('client', 'client', client),
    pairPod('server', 'server', server),
  ];
  if (!policed) return pods;
  return [
    ...pods,
    policy('in', { ...select('server'), ingress: [{ from: [select('client')], ports: [{ port: 8080 }] }] }),
    policy('out', { ...select('client'), policyTypes: ['Egress'], egress: [{ to: [select('server')] }] }),
  ];
}

export function namespaceObject(index: number, labels: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `ns-${index}`, labels } };
}

export function podObject(index: number, namespaces: number, isLocal: boolean, labels: object = {}): object {
  const ip = `10.${244 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `pod-${index}`,
      namespace: `ns-${index % namespaces}`,
      labels: { app: `app-${index % 20}`, tier: `tier-${index % 3}`, ...labels },
    },
    spec: {
      nodeName: isLocal ? 'node-0' : `node-${1 + (index % 90)}`,
      containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }],
    },
    status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
  };
}

/** Ten shapes, from "deny all" to blocks with exceptions and named ports. */
function policyObject(index: number, namespaces: number, random: () => number): object {
  const app = `app-${Math.floor(random() * 20)}`;
  const peer = { podSelector: { matchLabels: { app: `app-${Math.floor(random() * 20)}` } } };
  const team = { namespaceSelector: { matchLabels: { team: `team-${Math.floor(random() * 7)}` } } };
  const block = { ipBlock: { cidr: `172.16.${index & 255}.0/24`, except: [`172.16.${index & 255}.128/25`] } };
  const shapes: readonly object[] = [
    { podSelector: { matchLabels: { app } }, policyTypes: ['Ingress'] },
    { podSelector: { matchLabels: { app } }, ingress: [{ from: [peer] }] },
    { podSelector: { matchLabels: { app } }, ingress: [{ from: [peer], ports: [{ port: 8080 }] }] },
    { podSelector: { matchLabels: { app } }, ingress: [{ from: [team], ports: [{ port: 'http' }] }] },
    { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
    { podSelector: { matchLabels: { app } }, policyTypes: ['Egress'], egress: [{ to: [peer] }] },
    {
      podSelector: { matchLabels: { app } },
      policyTypes: ['Egress'],
      egress: [
        { ports: [{ port: 53, protocol: 'UDP' }] },
        { to: [{ ...team, ...peer }], ports: [{ port: 'http' }] },
      ],
    },
    { podSelector: { matchLabels: { app } }, ingress: [{ from: [block] }] },
    { podSelector: { matchLabels: { app } }, policyTypes: ['Egress'], egress: [{ to: [block, peer] }] },
    {
      podSelector: { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['tier-1'] }] },
      ingress: [{ ports: [{ port: 8000, endPort: 9000 }] }],
    },
  ];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `policy-${index}`, namespace: `ns-${index % namespaces}` },
    spec: shapes[index % shapes.length],
  };
}
