import type { Manifest } from './service-manifests.ts';

const policyNamespace = 'default';

export interface PodManifestSpec {
  readonly name: string;
  readonly node: string;
  readonly addresses: readonly string[];
  /** Default: `app` is the name. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly hostNetwork?: boolean;
}

/** A running pod of the tests' namespace. */
export function podManifest({ name, node, addresses, labels, hostNetwork }: PodManifestSpec): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: policyNamespace, uid: `uid-${name}`, labels: labels ?? { app: name } },
    spec: {
      nodeName: node,
      containers: [{ name: 'main', image: 'none' }],
      ...(hostNetwork === true ? { hostNetwork } : {}),
    },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True' }],
      podIP: addresses[0],
      podIPs: addresses.map((ip) => ({ ip })),
    },
  };
}

/** A policy of the tests' namespace, its spec as people write it. */
export function policyManifest(name: string, spec: Manifest): Manifest {
  const metadata = { name, namespace: policyNamespace };
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec };
}

export function namespaceManifest(): Manifest {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: policyNamespace } };
}

/** A peer or the subject of a policy: the pods with this `app`. */
export function app(name: string): Manifest {
  return { matchLabels: { app: name } };
}
