import type { Origin } from '../../pkg/api/index.ts';
import type { ChainName, KernelElement, Plan, RuleState, TableName } from '../../pkg/kernel/index.ts';
import type { Part } from '../sync/part-ownership.ts';
import type { PlannedObjects } from './planned-objects.ts';

/** A plan with all that is needed to explain it. */
export interface ExplainedPlan {
  readonly plan: Plan;
  /** The same plan, each part alone. */
  readonly parts: Readonly<Record<Part, Plan>>;
  readonly state: Pick<RuleState, 'appliedChain'>;
  /** For which service port each per-service chain is: `namespace/name:port`. */
  readonly owners: ReadonlyMap<string, string>;
  /** Which fields of which objects an element comes from; empty for what is there whatever objects there are. */
  readonly originsOf: (element: KernelElement) => readonly Origin[];
  readonly objects: PlannedObjects;
}

/** How many objects of the kernel the plan touches. */
export function countChanges({ plan }: Pick<ExplainedPlan, 'plan'>): number {
  return (
    plan.createSets.length +
    plan.destroySets.length +
    plan.writeChains.length +
    plan.deleteChains.length +
    plan.jumps.length +
    countMembers(plan.addMembers) +
    countMembers(plan.removeMembers)
  );
}

export function countMembers(changes: Plan['addMembers']): number {
  return changes.reduce((sum, change) => sum + change.members.length, 0);
}

const perService = /^KUBE-(?:SVC|SVL|EXT|FW|SEP)-/;

/** The service port that a chain belongs to, also where only its name or the comments that kube-proxy left say so. */
export function ownerOf(explained: ExplainedPlan, table: TableName, name: ChainName): string | undefined {
  const known = explained.owners.get(name);
  if (known !== undefined || !perService.test(name)) return known;
  const port = explained.objects.portOfChain(name);
  if (port !== undefined) return port;
  const rules = explained.state.appliedChain(table, name) ?? '';
  return /--comment "?(?:[^"\n]* )?([a-z0-9-]+\/[a-z0-9.-]+(?::[a-z0-9-]+)?)[" \n]/.exec(rules)?.[1];
}

/** The rules that a chain holds now. */
export function appliedRules({ state }: ExplainedPlan, table: TableName, name: ChainName): readonly string[] {
  return splitRules(state.appliedChain(table, name) ?? '');
}

export function splitRules(rules: string): readonly string[] {
  return rules === '' ? [] : rules.split('\n');
}

/** The rules of a chain that go and come. */
export interface RuleDifference {
  readonly removed: readonly string[];
  readonly added: readonly string[];
}

/** What a written chain loses and gains. */
export function writtenDifference(
  explained: ExplainedPlan,
  { table, name, rules }: Plan['writeChains'][number],
): RuleDifference {
  return ruleDifference(appliedRules(explained, table, name), splitRules(rules));
}

/** What goes and what comes between the rules that both begin with and those that both end with. */
export function ruleDifference(before: readonly string[], after: readonly string[]): RuleDifference {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) {
    end += 1;
  }
  return { removed: before.slice(start, before.length - end), added: after.slice(start, after.length - end) };
}
