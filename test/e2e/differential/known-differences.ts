import type { ClusterState } from './cluster-state.ts';
import { claimants, type Probe } from './probe.ts';

/** Where Weir and kube-proxy are known to differ, and why that is right. Such packets are not sent. */
export interface KnownDifference {
  readonly reason: string;
  concerns(probe: Probe, state: ClusterState): boolean;
}

export const knownDifferences: readonly KnownDifference[] = [
  {
    reason:
      'several Services have this address and port: kube-proxy gives it to the one that a map shows it first, another one each time',
    concerns: (probe, state) => claimants(probe, state).length > 1,
  },
];
