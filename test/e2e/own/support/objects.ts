import { targetPort } from '../../../support/service-manifests.ts';

/** A Kubernetes object, for `kubectl apply`. */
export interface KubeManifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** A pod that does nothing: a test listens and connects in its network. */
export function idlePod(pod: {
  readonly name: string;
  readonly node: string;
  readonly app: string;
}): KubeManifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod.name, labels: { app: pod.app } },
    spec: {
      nodeName: pod.node,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'idle', image: 'registry.k8s.io/pause:3.10' }],
    },
  };
}

/** A dual-stack Service of the pods with this label `app`, on the target port, by TCP and UDP; with a node port where one is given. */
export function serviceOf(service: {
  readonly name: string;
  readonly app: string;
  readonly nodePort?: number;
}): KubeManifest {
  const { name, app, nodePort } = service;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      type: nodePort === undefined ? 'ClusterIP' : 'NodePort',
      ipFamilyPolicy: 'RequireDualStack',
      selector: { app },
      ports: ['TCP', 'UDP'].map((protocol) => ({
        name: protocol.toLowerCase(),
        protocol,
        port: targetPort,
        ...(nodePort === undefined ? {} : { nodePort }),
      })),
    },
  };
}

/** Nobody reaches the pods with label `app: TO`, except those with `app: FROM` where that is given. */
export function ingressPolicy(policy: {
  readonly name: string;
  readonly to: string;
  readonly from?: string;
}): KubeManifest {
  const peer = (app: string) => ({ from: [{ podSelector: { matchLabels: { app } } }] });
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: policy.name },
    spec: {
      podSelector: { matchLabels: { app: policy.to } },
      policyTypes: ['Ingress'],
      ingress: policy.from === undefined ? [] : [peer(policy.from)],
    },
  };
}

/** Several objects as one text; JSON is YAML too. */
export function yamlOf(...objects: readonly KubeManifest[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
}
