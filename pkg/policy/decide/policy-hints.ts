import type { Diagnostic, NetworkPolicy, Pod } from '../../api/index.ts';
import { dnsHints } from './dns-hints.ts';
import type { PolicyWorld } from './evaluate.ts';
import { type PodPeers, podPeersMatch, selectPods, subjectsOf } from './peers.ts';
import { createPodDirectory, type PodDirectory } from './pod-directory.ts';
import { ruleHints } from './rule-hints.ts';

/** The cluster as hints need it: all pods and namespaces, not one node's. */
export interface HintWorld extends PolicyWorld {
  /** Blocks that Service addresses are drawn from, canonical CIDR text; empty when they are not known. */
  readonly serviceRanges: readonly string[];
}

/**
 * What policies say that probably is not meant: pods left without DNS, a policy that selects no pod, a port name that no
 * pod has, a block of Service addresses, a block of a family that no selected pod has. All of severity `hint`, sorted by
 * namespace, name and field.
 */
export function policyHints(world: HintWorld): readonly Diagnostic[] {
  const directory = createPodDirectory(world.pods, world.namespaces);
  const podsByNamespace = Map.groupBy(world.pods, (pod) => pod.namespace);
  const hints = world.policies.flatMap((policy) => {
    const neighbours = podsByNamespace.get(policy.namespace) ?? [];
    return hintsOf(policy, { neighbours, serviceRanges: world.serviceRanges }, directory);
  });
  return [...hints, ...dnsHints(world)].toSorted(compareHints);
}

/** What one policy's hints depend on besides the pods that count. */
interface PolicySurroundings {
  /** All pods of the policy's namespace, also those to which policies do not apply. */
  readonly neighbours: readonly Pod[];
  readonly serviceRanges: readonly string[];
}

function hintsOf(
  policy: NetworkPolicy,
  around: PolicySurroundings,
  directory: PodDirectory,
): readonly Diagnostic[] {
  const selected = subjectsOf(policy);
  const subjects = selectPods(selected, directory);
  if (subjects.length === 0) return [selectsNoPod(policy, selected, around.neighbours)];
  return ruleHints({ policy, subjects, directory, serviceRanges: around.serviceRanges });
}

function selectsNoPod(policy: NetworkPolicy, selected: PodPeers, neighbours: readonly Pod[]): Diagnostic {
  const { namespace, name } = policy;
  const exempt = neighbours.filter((pod) => podPeersMatch(selected, pod, undefined)).length;
  const message =
    exempt === 0
      ? `selects no pod in namespace ${namespace}`
      : `selects only pods that policies do not apply to: ${exempt} with hostNetwork, completed or without an address yet`;
  return { severity: 'hint', kind: 'NetworkPolicy', namespace, name, field: 'spec.podSelector', message };
}

function compareHints(a: Diagnostic, b: Diagnostic): number {
  return (
    compareTexts(a.namespace, b.namespace) || compareTexts(a.name, b.name) || compareTexts(a.field, b.field)
  );
}

function compareTexts(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
