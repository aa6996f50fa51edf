import type { NamespacedName, Origin } from '../../pkg/api/index.ts';
import type { ChainName, SetName, TableName } from '../../pkg/kernel/index.ts';
import { isPolicyChain } from '../../pkg/policy/iptables/index.ts';
import { partOwnership } from '../sync/part-ownership.ts';
import { type ExplainedPlan, ownerOf } from './explained-plan.ts';

const shownOrigins = 3;

/** Whether something comes into the kernel or goes. */
export type Sign = '+' | '-';

const unneeded = 'no object needs it now';
const neededForPolicies = 'for all NetworkPolicies';
const neededForServices = 'for all Services';

/** `Service default/web spec.ports (http)`; of many the first. Empty for none. */
export function originText(origins: readonly Origin[]): string {
  const texts = origins.map(({ kind, namespace, name, field, value }) => {
    const text = `${kind} ${namespace}/${name} ${field}`;
    return value === '' ? text : `${text} (${value})`;
  });
  const more = texts.length - shownOrigins;
  const some = texts.slice(0, shownOrigins).join(', ');
  return more > 0 ? `${some} and ${more} more` : some;
}

/** Where a chain comes from, for people. */
export function chainComment(
  explained: ExplainedPlan,
  table: TableName,
  chain: ChainName,
  sign: Sign = '+',
): string {
  if (sign === '-') {
    const owner = ownerOf(explained, table, chain);
    const [service = ''] = owner?.split(':') ?? [];
    return owner !== undefined && explained.objects.hasService(service as NamespacedName)
      ? `Service ${owner} does not need it now`
      : unneeded;
  }
  const text = originText(explained.originsOf({ kind: 'chain', table, chain }));
  if (text !== '') return text;
  if (isPolicyChain(table, chain))
    return /^WEIR-(?:IN|E)GRESS/.test(chain) ? 'finds the policies of a pod' : neededForPolicies;
  return chain.startsWith('KUBE-SVC-t') ? 'finds the Service of an address or node port' : neededForServices;
}

/** Where a rule comes from, for people; empty for a rule that no single object is the reason of. */
export function ruleComment(
  { originsOf }: ExplainedPlan,
  { table, chain, rule }: { readonly table: TableName; readonly chain: ChainName; readonly rule: string },
  sign: Sign,
): string {
  const text = originText(originsOf({ kind: 'rule', table, chain, rule }));
  if (text !== '' || sign === '+') return text;
  const leadsTo = / -j (KUBE-(?:SVC|SVL|EXT|FW)-[A-Z2-7]{16})$/.exec(rule)?.[1];
  const isOfObjects = leadsTo !== undefined || originsOf({ kind: 'chain', table, chain }).length > 0;
  return isOfObjects ? unneeded : '';
}

/** Where a set comes from, for people. */
export function setComment({ plan, originsOf }: ExplainedPlan, set: SetName): string {
  const text = originText(originsOf({ kind: 'set', set }));
  if (text !== '') return text;
  return partOwnership('policies', plan.family).set(set) ? neededForPolicies : neededForServices;
}

/** Whose a set was that goes, for people. */
export function unneededSetComment(set: SetName): string {
  return set.startsWith('KUBE-') ? "kube-proxy's" : unneeded;
}

/** Where a set member comes from, for people. */
export function memberComment(
  { originsOf, objects }: ExplainedPlan,
  set: SetName,
  member: string,
  sign: Sign,
): string {
  const text = originText(originsOf({ kind: 'member', set, member }));
  if (text !== '') return text;
  if (sign === '-') return unneeded;
  const pod = objects.unownedPod(member);
  return pod === undefined ? '' : `Pod ${pod} in the CNI cache, which the API does not know`;
}
