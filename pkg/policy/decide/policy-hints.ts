import type { Diagnostic, NetworkPolicy } from '../../api/index.ts';
import { dnsHints } from './dns-hints.ts';
import type { PolicyWorld } from './evaluate.ts';
import { podPeersMatch, selectPods, subjectsOf } from './peers.ts';
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
  const hints = world.policies.flatMap((policy) => hintsOf(policy, world, directory));
  return [...hints, ...dnsHints(world)].toSorted(compareHints);
}

function hintsOf(policy: NetworkPolicy, world: HintWorld, directory: PodDirectory): readonly Diagnostic[] {
  const subjects = selectPods(subjectsOf(policy), directory);
  if (subjects.length === 0) return [selectsNoPod(policy, world)];
  return ruleHints({ policy, subjects, directory, serviceRanges: world.serviceRanges });
}

function selectsNoPod(policy: NetworkPolicy, world: HintWorld): Diagnostic {
  const { namespace, name } = policy;
  const exempt = world.pods.filter((pod) => podPeersMatch(subjectsOf(policy), pod, undefined)).length;
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
