import type { NamespacedName, Origin, Pod, PolicyOrigin } from '../../api/index.ts';
import { type KernelElement, parseRule, type SetName } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { addressesOf, type FixedPeers, type PeerSource } from './peer-source.ts';
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

/** What is looked up, each made when first asked for. */
interface Lookup {
  readonly partsOf: (chain: string) => readonly PolicyInChain[];
  readonly partsWith: (set: SetName) => readonly PolicyInChain[];
  readonly podsWith: (ip: string) => readonly Pod[];
  /** Whether a set of blocks has the member. */
  readonly hasBlock: (source: FixedPeers, member: string) => boolean;
}

/**
 * Finds where elements of the policy rules come from: the fields that give them their value. Of a set member that is the pod with the address, and
 * of a block the policies that name it. Looks at all policies or pods for the first question about them; every other question costs what its
 * answer does.
 */
export function policyOriginFinder(
  sources: PolicyOriginSources,
): (element: KernelElement) => readonly Origin[] {
  const lookup = lookupOf(sources);
  return (element) => {
    switch (element.kind) {
      case 'chain':
        return ofProfile(lookup.partsOf(element.chain));
      case 'rule':
        return element.table === 'filter' ? ofRule(element.chain, element.rule, lookup) : [];
      case 'set':
        return ofWholeSet(element.set, lookup);
      case 'member':
        return ofMember(element.set, element.member, sources, lookup);
    }
  };
}

function lookupOf({ family, parts, pods }: PolicyOriginSources): Lookup {
  let byChain: Map<string, PolicyInChain[]> | undefined;
  let bySet: Map<SetName, PolicyInChain[]> | undefined;
  let byAddress: Map<string, Pod[]> | undefined;
  const blocks = new Map<FixedPeers, ReadonlySet<string>>();
  return {
    partsOf: (chain) => {
      byChain ??= Map.groupBy(parts, (part) => part.chain as string);
      return byChain.get(chain) ?? [];
    },
    partsWith: (set) => {
      bySet ??= groupByAll(parts, ({ fragment }) => fragment.sets.map(({ spec }) => spec.name));
      return bySet.get(set) ?? [];
    },
    podsWith: (ip) => {
      byAddress ??= groupByAll(allPods(pods), (pod) => addressesOf(pod, family));
      return byAddress.get(ip) ?? [];
    },
    hasBlock: (source, member) => {
      const known = blocks.get(source) ?? new Set(source.members);
      blocks.set(source, known);
      return known.has(member);
    },
  };
}

function groupByAll<Key, Item>(
  items: Iterable<Item>,
  keysOf: (item: Item) => Iterable<Key>,
): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    for (const key of new Set(keysOf(item))) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [item]);
      else group.push(item);
    }
  }
  return groups;
}

function* allPods(pods: PodIndex): Generator<Pod> {
  for (const namespace of pods.namespaces()) yield* pods.podsOf(namespace)?.values() ?? [];
}

/** The policies that isolate the pods whose packets enter the chain. */
function ofProfile(parts: readonly PolicyInChain[]): readonly Origin[] {
  return parts.map(({ policy }) => policyOrigin(policy, 'spec.podSelector', ''));
}

function ofRule(chain: string, rule: string, { partsOf }: Lookup): readonly Origin[] {
  const parts = partsOf(chain);
  const allowing = parts.filter((part) => part.fragment.rules.includes(rule));
  if (allowing.length > 0) return allowing.map((part) => ruleOrigin(part, ''));
  const { target } = parseRule(rule);
  const leadsTo = target.kind === 'jump' ? ofProfile(partsOf(target.chain)) : [];
  return leadsTo.length > 0 ? leadsTo : ofProfile(parts);
}

/** The policies that look into the set, or of the pods of a profile those that select them. */
function ofWholeSet(set: SetName, { partsWith, partsOf }: Lookup): readonly Origin[] {
  const [, profile] = /^WEIR-[46]-((?:IN|E)GRESS-[A-Z2-7]{15})$/.exec(set) ?? [];
  return profile === undefined ? ofSet('', partsWith(set)) : ofProfile(partsOf(`WEIR-${profile}`));
}

function ofSet(value: string, looking: readonly PolicyInChain[]): readonly Origin[] {
  const origins = looking.map((part) => ruleOrigin(part, value));
  return [...new Map(origins.map((origin) => [Object.values(origin).join(' '), origin])).values()];
}

function ofMember(
  set: SetName,
  member: string,
  { family, sourceOf, pods }: PolicyOriginSources,
  { partsWith, podsWith, hasBlock }: Lookup,
): readonly Origin[] {
  const source = sourceOf(set);
  if (source?.kind === 'fixed') return hasBlock(source, member) ? ofSet(member, partsWith(set)) : [];
  if (source === undefined && !isAddressSet(family, set)) return [];
  const [ip = ''] = member.split(',');
  return podsWith(ip)
    .filter((pod) => source?.membersOf(pod, pods.labelsOf(pod.namespace)).includes(member) ?? true)
    .map(({ namespace, name }) => ({ kind: 'Pod', namespace, name, field: 'status.podIPs', value: ip }));
}

function ruleOrigin({ direction, policy }: PolicyInChain, value: string): PolicyOrigin {
  return policyOrigin(policy, direction === 'Ingress' ? 'spec.ingress' : 'spec.egress', value);
}

function policyOrigin(policy: NamespacedName, field: PolicyOrigin['field'], value: string): PolicyOrigin {
  const namespace = namespaceOf(policy);
  return { kind: 'NetworkPolicy', namespace, name: policy.slice(namespace.length + 1), field, value };
}
