import type { NamespacedName, Origin, PolicyOrigin } from '../../api/index.ts';
import { type KernelElement, parseRule, type SetName } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { addressesOf, type PeerSource } from './peer-source.ts';
import { namespaceOf, type PodIndex } from './pod-index.ts';
import { isAddressSet } from './policy-names.ts';
import type { PolicyInChain } from './profile-chains.ts';

/** What the policy rules of one family were made from. */
export interface PolicyOriginSources {
  readonly family: Family;
  readonly parts: readonly PolicyInChain[];
  /** `undefined` for a set that no profile's chain looks into. */
  readonly sourceOf: (set: SetName) => PeerSource | undefined;
  readonly pods: PodIndex;
}

/**
 * Where an element of the policy rules comes from: the fields that give it its value. Of a set member that is the pod with the address, and of a
 * block the policies that name it. Looks at all policies and pods: for a question, not for every change.
 */
export function policyOrigins(element: KernelElement, sources: PolicyOriginSources): readonly Origin[] {
  switch (element.kind) {
    case 'chain':
      return ofProfile(element.chain, sources.parts);
    case 'rule':
      return element.table === 'filter' ? ofRule(element.chain, element.rule, sources.parts) : [];
    case 'set':
      return ofSet(element.set, '', sources.parts);
    case 'member':
      return ofMember(element.set, element.member, sources);
  }
}

/** The policies that isolate the pods whose packets enter the chain. */
function ofProfile(chain: string, parts: readonly PolicyInChain[]): readonly Origin[] {
  return parts
    .filter((part) => part.chain === chain)
    .map(({ policy }) => policyOrigin(policy, 'spec.podSelector', ''));
}

function ofRule(chain: string, rule: string, parts: readonly PolicyInChain[]): readonly Origin[] {
  const allowing = parts.filter((part) => part.chain === chain && part.fragment.rules.includes(rule));
  if (allowing.length > 0) return allowing.map((part) => ruleOrigin(part, ''));
  const { target } = parseRule(rule);
  const leadsTo = target.kind === 'jump' ? ofProfile(target.chain, parts) : [];
  return leadsTo.length > 0 ? leadsTo : ofProfile(chain, parts);
}

function ofSet(set: SetName, value: string, parts: readonly PolicyInChain[]): readonly Origin[] {
  const looking = parts.filter(({ fragment }) => fragment.sets.some(({ spec }) => spec.name === set));
  const origins = looking.map((part) => ruleOrigin(part, value));
  return [...new Map(origins.map((origin) => [Object.values(origin).join(' '), origin])).values()];
}

function ofMember(
  set: SetName,
  member: string,
  { family, parts, sourceOf, pods }: PolicyOriginSources,
): readonly Origin[] {
  const source = sourceOf(set);
  if (source?.kind === 'fixed') return ofSet(set, member, parts);
  if (source === undefined && !isAddressSet(family, set)) return [];
  const [ip = ''] = member.split(',');
  const origins: Origin[] = [];
  for (const namespace of pods.namespaces()) {
    for (const pod of pods.podsOf(namespace)?.values() ?? []) {
      if (!addressesOf(pod, family).includes(ip)) continue;
      if (source !== undefined && !source.membersOf(pod, pods.labelsOf(namespace)).includes(member)) continue;
      origins.push({ kind: 'Pod', namespace, name: pod.name, field: 'status.podIPs', value: ip });
    }
  }
  return origins;
}

function ruleOrigin({ direction, policy }: PolicyInChain, value: string): PolicyOrigin {
  return policyOrigin(policy, direction === 'Ingress' ? 'spec.ingress' : 'spec.egress', value);
}

function policyOrigin(policy: NamespacedName, field: PolicyOrigin['field'], value: string): PolicyOrigin {
  const namespace = namespaceOf(policy);
  return { kind: 'NetworkPolicy', namespace, name: policy.slice(namespace.length + 1), field, value };
}
