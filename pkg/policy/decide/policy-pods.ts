import type { Pod } from '../../api/index.ts';

/**
 * Whether NetworkPolicy sees this pod: as one that a policy may isolate and as one that a selector may mean.
 * A hostNetwork pod is traffic of its node. A completed pod has given its address back, and it may be another pod's by
 * now. A terminating pod still counts, because its containers may run for minutes.
 */
export function isPolicyPod(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed' && pod.addresses.length > 0;
}
