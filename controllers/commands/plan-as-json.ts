import type { Origin } from '../../pkg/api/index.ts';
import type { Plan } from '../../pkg/kernel/index.ts';
import {
  appliedRules,
  type ExplainedPlan,
  ownerOf,
  splitRules,
  writtenDifference,
} from './explained-plan.ts';

/** The plan for programs. `origins` say which fields of which objects something comes from; none where it is there whatever objects there are. */
export function planAsJson(explained: ExplainedPlan): Readonly<Record<string, unknown>> {
  const { plan, originsOf } = explained;
  return {
    family: plan.family,
    // What moves over is in the kernel already and stays: no part of the difference.
    createSets: plan.createSets.map(({ replaces, ...spec }) => ({
      ...spec,
      ...(replaces === undefined ? {} : { replaces: { how: replaces.how, reason: replaces.reason } }),
      origins: originsOf({ kind: 'set', set: spec.name }),
    })),
    addMembers: withOrigins(explained, plan.addMembers),
    writeChains: plan.writeChains.map((chain) => writeAsJson(explained, chain)),
    jumps: plan.jumps,
    removeMembers: withOrigins(explained, plan.removeMembers),
    deleteChains: plan.deleteChains.map(({ table, name, isHeld }) => ({
      table,
      name,
      owner: ownerOf(explained, table, name) ?? null,
      ...(isHeld === true ? { isHeld } : {}),
      before: appliedRules(explained, table, name),
    })),
    destroySets: plan.destroySets,
  };
}

function writeAsJson(
  explained: ExplainedPlan,
  chain: Plan['writeChains'][number],
): Readonly<Record<string, unknown>> {
  const { table, name, rules, isNew } = chain;
  const { originsOf, owners } = explained;
  const { removed, added } = writtenDifference(explained, chain);
  const ruleOrigins = [...new Set([...removed, ...added])].map(
    (rule) => [rule, originsOf({ kind: 'rule', table, chain: name, rule })] as const,
  );
  return {
    table,
    name,
    owner: owners.get(name) ?? null,
    isNew,
    origins: originsOf({ kind: 'chain', table, chain: name }),
    before: appliedRules(explained, table, name),
    after: splitRules(rules),
    ruleOrigins: Object.fromEntries(ruleOrigins.filter(isKnown)),
  };
}

function withOrigins(
  { originsOf }: ExplainedPlan,
  changes: Plan['addMembers'],
): readonly Readonly<Record<string, unknown>>[] {
  return changes.map((change) => {
    const origins = change.members.map(
      (member) => [member, originsOf({ kind: 'member', set: change.set, member })] as const,
    );
    return { ...change, origins: Object.fromEntries(origins.filter(isKnown)) };
  });
}

function isKnown([, origins]: readonly [string, readonly Origin[]]): boolean {
  return origins.length > 0;
}
