import type { ProxyLeftover } from '../../pkg/apply/index.ts';
import type { ExplainedPlan } from './explained-plan.ts';
import { leftoverReport } from './leftover-report.ts';
import type { Paint } from './paint.ts';
import { type PartCounts, type PlanSummary, planSummary } from './plan-summary.ts';
import { takeOverReport } from './take-over-report.ts';

const shownNames = 5;

/** What the plans amount to, for people, with what kube-proxy in other modes has left: one line for a family where nothing changes. */
export function printSummary(
  plans: readonly ExplainedPlan[],
  leftovers: readonly ProxyLeftover[],
  paint: Paint,
): readonly string[] {
  return [...plans.flatMap((explained) => familyLines(explained, paint)), ...leftoverReport(leftovers)];
}

function familyLines(explained: ExplainedPlan, paint: Paint): readonly string[] {
  const summary = planSummary(explained);
  const { family, changes, services, policies } = summary;
  if (changes === 0) return [`${paint('bold', family)}: no change`];
  const { add, change, remove } = services.objects;
  const { networkPolicies, pods } = policies.objects;
  const lines = [
    ...named('Services to add', add),
    ...named('Services to change', change),
    ...named('Services to remove', remove),
    ...counted('Service rules', services),
    ...named('NetworkPolicies concerned', networkPolicies),
    ...named('Pods concerned', pods),
    ...counted('Policy rules', policies),
    ...jumpLines(summary),
    ...named(
      'Emptied, not deleted, because rules of other programs refer to them',
      summary.held.map(({ table, name }) => `${table} ${name}`),
    ),
    ...takeOverReport(explained),
  ];
  const total = countWords(totalOf(services, policies));
  return [`${paint('bold', family)}: ${total.join(', ')}`, ...lines.map((line) => `  ${line}`)];
}

function named(title: string, names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  const more = names.length - shownNames;
  const some = names.slice(0, shownNames).join(', ');
  return [`${title}: ${names.length} (${more > 0 ? `${some} and ${more} more` : some})`];
}

function counted(title: string, counts: PartCounts): readonly string[] {
  const words = [...countWords(counts), ...ruleWords(counts)];
  return words.length === 0 ? [] : [`${title}: ${words.join(', ')}`];
}

function countWords({ sets, members, chains, jumps }: Omit<PartCounts, 'rules'>): readonly string[] {
  return words([
    [sets.add, 'set', 'to create'],
    [sets.replace, 'set', 'to rebuild'],
    [sets.remove, 'set', 'to destroy'],
    [members.add, 'set member', 'to add'],
    [members.remove, 'set member', 'to remove'],
    [chains.add, 'chain', 'to add'],
    [chains.change, 'chain', 'to change'],
    [chains.remove, 'chain', 'to delete'],
    [chains.empty, 'chain', 'to empty'],
    [jumps.add, 'jump', 'to insert'],
    [jumps.remove, 'jump', 'to delete'],
  ]);
}

function ruleWords({ rules }: PartCounts): readonly string[] {
  return words([
    [rules.add, 'rule', 'to add'],
    [rules.remove, 'rule', 'to remove'],
  ]);
}

function words(counts: readonly (readonly [number, string, string])[]): readonly string[] {
  return counts
    .filter(([count]) => count > 0)
    .map(([count, what, change]) => `${count} ${what}${count === 1 ? '' : 's'} ${change}`);
}

function totalOf(a: PartCounts, b: PartCounts): Omit<PartCounts, 'rules'> {
  return {
    sets: {
      add: a.sets.add + b.sets.add,
      replace: a.sets.replace + b.sets.replace,
      remove: a.sets.remove + b.sets.remove,
    },
    members: { add: a.members.add + b.members.add, remove: a.members.remove + b.members.remove },
    chains: {
      add: a.chains.add + b.chains.add,
      change: a.chains.change + b.chains.change,
      remove: a.chains.remove + b.chains.remove,
      empty: a.chains.empty + b.chains.empty,
    },
    jumps: { add: a.jumps.add + b.jumps.add, remove: a.jumps.remove + b.jumps.remove },
  };
}

/** The reason of a jump says what another program did to it. */
function jumpLines({ jumps }: PlanSummary): readonly string[] {
  const kinds = Map.groupBy(
    jumps,
    ({ kind, reason }) => `to ${kind === 'insert' ? 'insert' : 'delete'} (${reason})`,
  );
  const texts = Array.from(kinds, ([what, alike]) => `${alike.length} ${what}`);
  return texts.length === 0 ? [] : [`Jumps from built-in chains: ${texts.join(', ')}`];
}
