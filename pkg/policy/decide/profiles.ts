import type { NetworkPolicy, Pod, PolicyType } from '../../api/index.ts';
import { isPolicyPod } from './policy-pods.ts';
import { selects } from './selectors.ts';

/** A set of policies that select the same pods for one direction. Pods of equal profiles are treated alike. */
export interface Profile {
  /** Names the direction, the namespace and the policies; stays the same while these do. */
  readonly key: string;
  readonly direction: PolicyType;
  /** All of one namespace, in order of name; at least one. */
  readonly policies: readonly NetworkPolicy[];
  /** In order of name; at least one. */
  readonly pods: readonly Pod[];
}

/**
 * The profiles of these pods (a node's own, say) for one direction, sorted by key. A pod that no policy isolates in this direction is
 * in none of them, nor is one that does not count.
 */
export function profilesOf(
  direction: PolicyType,
  pods: readonly Pod[],
  policies: readonly NetworkPolicy[],
): readonly Profile[] {
  const byNamespace = Map.groupBy(
    policies.filter((policy) => policy.policyTypes.includes(direction)).toSorted(byName),
    (policy) => policy.namespace,
  );
  const profiles = new Map<string, Profile & { readonly pods: Pod[] }>();
  for (const pod of pods.filter(isPolicyPod).toSorted(byName)) {
    const selecting = (byNamespace.get(pod.namespace) ?? []).filter((policy) =>
      selects(policy.podSelector, pod.labels),
    );
    if (selecting.length === 0) continue;
    const key = `${direction} ${pod.namespace}: ${selecting.map(({ name }) => name).join(' ')}`;
    const profile = profiles.get(key);
    if (profile === undefined) profiles.set(key, { key, direction, policies: selecting, pods: [pod] });
    else profile.pods.push(pod);
  }
  return [...profiles.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
