import type { ChainName } from '../../pkg/kernel/index.ts';
import { appliedRules, type ExplainedPlan, ownerOf, splitRules } from './explained-plan.ts';

const shownNames = 20;

/** The chains of a service port that lead to endpoints, by kube-proxy's name: the hash is in upper case. */
const balancer = /^KUBE-SV[CL]-[A-Z2-7]{16}$/;

/**
 * What a plan that takes the node over from kube-proxy means for its Services: whether both route the same ones to the same
 * endpoints. Lines for people; none where kube-proxy has no rules.
 */
export function takeOverReport(explained: ExplainedPlan): readonly string[] {
  const { plan } = explained;
  if (!plan.deleteChains.some(({ name }) => name.startsWith('KUBE-SEP-'))) return [];
  const both = plan.writeChains.filter(({ name, isNew }) => balancer.test(name) && !isNew);
  const gained = plan.writeChains.filter(({ name, isNew }) => balancer.test(name) && isNew);
  const lost = plan.deleteChains.filter(({ name }) => balancer.test(name));
  const groups = new Map(plan.writeChains.map(({ name, rules }) => [name, rules]));
  const changed = both.flatMap(({ name, rules }) => {
    const before = kubeProxyEndpoints(appliedRules(explained, 'nat', name));
    const after = endpoints(splitRules(rules), groups);
    return sameMembers(before, after)
      ? []
      : [`${ownerOf(explained, 'nat', name) ?? name}: kube-proxy ${listed(before)}; Weir ${listed(after)}`];
  });
  const names = (chains: readonly { readonly name: ChainName }[]): readonly string[] =>
    [...new Set(chains.map(({ name }) => ownerOf(explained, 'nat', name) ?? name))].toSorted();
  return [
    `Takes over from kube-proxy: ${both.length - changed.length} of its ${both.length + lost.length} balancing chains keep their endpoints.`,
    ...section('Other endpoints', changed.toSorted()),
    ...section('Routed by kube-proxy only, and no longer with Weir', names(lost)),
    ...section('Routed by Weir only', names(gained)),
  ];
}

function section(title: string, items: readonly string[]): readonly string[] {
  if (items.length === 0) return [];
  const more = items.length - shownNames;
  return [
    `${title}:`,
    ...items.slice(0, shownNames).map((item) => `  ${item}`),
    ...(more > 0 ? [`  … and ${more} more`] : []),
  ];
}

/** kube-proxy says in a comment where a rule leads. */
function kubeProxyEndpoints(rules: readonly string[]): ReadonlySet<string> {
  return new Set(rules.flatMap((rule) => / -> (\S+?)"/.exec(rule)?.[1] ?? []));
}

/** A chain leads to endpoints itself, or through chains for groups of them. */
function endpoints(rules: readonly string[], groups: ReadonlyMap<string, string>): ReadonlySet<string> {
  return new Set(
    rules.flatMap((rule) => {
      const group = /-j (KUBE-SV[CL]-g\S+)$/.exec(rule)?.[1];
      if (group !== undefined) return [...endpoints(splitRules(groups.get(group) ?? ''), groups)];
      return /--to-destination (\S+)/.exec(rule)?.[1] ?? [];
    }),
  );
}

function sameMembers(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}

function listed(set: ReadonlySet<string>): string {
  const [first, second, third, ...rest] = [...set].toSorted();
  const some = [first, second, third].filter((one) => one !== undefined).join(', ');
  return set.size === 0 ? 'none' : rest.length === 0 ? some : `${some} and ${rest.length} more`;
}
