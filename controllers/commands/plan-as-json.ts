import type { ExplainedPlan } from './explained-plan.ts';
import { appliedRules, splitRules } from './explained-plan.ts';

/** The plan for programs. */
export function planAsJson(explained: ExplainedPlan): Readonly<Record<string, unknown>> {
  const { plan, owners } = explained;
  return {
    family: plan.family,
    // What moves over is in the kernel already and stays: no part of the difference.
    createSets: plan.createSets.map(({ replaces, ...spec }) =>
      replaces === undefined ? spec : { ...spec, replaces: { how: replaces.how, reason: replaces.reason } },
    ),
    addMembers: plan.addMembers,
    writeChains: plan.writeChains.map(({ table, name, rules, isNew }) => ({
      table,
      name,
      owner: owners.get(name) ?? null,
      isNew,
      before: appliedRules(explained, table, name),
      after: splitRules(rules),
    })),
    jumps: plan.jumps,
    removeMembers: plan.removeMembers,
    deleteChains: plan.deleteChains.map(({ table, name, isHeld }) => ({
      table,
      name,
      ...(isHeld === true ? { isHeld } : {}),
      before: appliedRules(explained, table, name),
    })),
    destroySets: plan.destroySets,
  };
}
