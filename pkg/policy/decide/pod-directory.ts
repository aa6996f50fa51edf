import type { Labels, Namespace, Pod } from '../../api/index.ts';
import { isPolicyPod } from './policy-pods.ts';

/** What selectors look at: the pods that count, by namespace, and the labels of the known namespaces. Names in order. */
export interface PodDirectory {
  readonly podsByNamespace: ReadonlyMap<string, readonly Pod[]>;
  readonly namespaceLabels: ReadonlyMap<string, Labels>;
}

export function createPodDirectory(pods: readonly Pod[], namespaces: readonly Namespace[]): PodDirectory {
  const byName = (a: { readonly name: string }, b: { readonly name: string }) => (a.name < b.name ? -1 : 1);
  const podsByNamespace = Map.groupBy(pods.filter(isPolicyPod).toSorted(byName), (pod) => pod.namespace);
  return {
    podsByNamespace: new Map([...podsByNamespace].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    namespaceLabels: new Map(namespaces.toSorted(byName).map(({ name, labels }) => [name, labels])),
  };
}
