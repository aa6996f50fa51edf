import type { ChainName, Plan, RuleState, TableName } from '../../pkg/kernel/index.ts';

/** A plan with all that is needed to explain it. */
export interface ExplainedPlan {
  readonly plan: Plan;
  readonly state: Pick<RuleState, 'appliedChain'>;
  /** For which service port each per-service chain is: `namespace/name:port`. */
  readonly owners: ReadonlyMap<string, string>;
}

/** How many objects of the kernel the plan touches. */
export function countChanges({ plan }: ExplainedPlan): number {
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

/** The service port that a chain belongs to, also where only the comments that kube-proxy left say so. */
export function ownerOf(explained: ExplainedPlan, table: TableName, name: ChainName): string | undefined {
  const known = explained.owners.get(name);
  if (known !== undefined || !/^KUBE-(SVC|SVL|EXT|FW|SEP)-/.test(name)) return known;
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
