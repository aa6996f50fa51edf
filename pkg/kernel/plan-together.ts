import { byName, inWritingOrder, type JumpChange, type Plan } from './plan.ts';
import type { RuleState } from './rule-state.ts';

/** What several parts of one family write at once. */
export interface JointPlan {
  /** Of each part, in the order of the states. */
  readonly plans: readonly Plan[];
  /** All of them as one, in the order in which a single part would write it. */
  readonly whole: Plan;
}

/**
 * Plans several parts of one family for one write. The states share their built-in chains; each finds them as the parts before it leave
 * them, so a part whose jumps must be first comes first.
 */
export function planTogether(states: readonly [RuleState, ...RuleState[]]): JointPlan {
  const jumps: JumpChange[] = [];
  const plans = states.map((state) => {
    const plan = state.plan(jumps);
    jumps.push(...plan.jumps);
    return plan;
  });
  return { plans, whole: mergePlans(states[0].family, plans) };
}

function mergePlans(family: Plan['family'], plans: readonly Plan[]): Plan {
  return {
    family,
    createSets: plans.flatMap((plan) => plan.createSets).toSorted(bySpecName),
    addMembers: plans.flatMap((plan) => plan.addMembers).toSorted(bySet),
    earlyRules: plans.flatMap((plan) => plan.earlyRules),
    writeChains: plans.flatMap((plan) => plan.writeChains).toSorted(inWritingOrder),
    jumps: plans.flatMap((plan) => plan.jumps),
    removeMembers: plans.flatMap((plan) => plan.removeMembers).toSorted(bySet),
    deleteChains: plans.flatMap((plan) => plan.deleteChains).toSorted(byName),
    destroySets: plans.flatMap((plan) => plan.destroySets).toSorted(),
  };
}

function bySpecName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}

function bySet(a: { readonly set: string }, b: { readonly set: string }): number {
  return a.set < b.set ? -1 : 1;
}
