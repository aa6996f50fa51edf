import { type NamespacedName, namespacedName } from '../../pkg/api/index.ts';
import type { JumpChange, Plan, TableName } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { isPolicyChain } from '../../pkg/policy/iptables/index.ts';
import { changedServices, type ServiceNames } from './changed-services.ts';
import {
  appliedRules,
  countChanges,
  countMembers,
  type ExplainedPlan,
  writtenDifference,
} from './explained-plan.ts';

/** What a part writes, counted. */
export interface PartCounts {
  readonly sets: { readonly add: number; readonly replace: number; readonly remove: number };
  readonly members: { readonly add: number; readonly remove: number };
  /** `empty`: to be removed, but rules of other programs refer to them. */
  readonly chains: {
    readonly add: number;
    readonly change: number;
    readonly remove: number;
    readonly empty: number;
  };
  readonly rules: { readonly add: number; readonly remove: number };
  readonly jumps: { readonly add: number; readonly remove: number };
}

/** What the changes of the policies are about, each sorted. */
export interface PolicyNames {
  /** Whose rules change. */
  readonly networkPolicies: readonly NamespacedName[];
  /** Whose addresses join or leave a set. */
  readonly pods: readonly NamespacedName[];
}

/** What a plan of one family amounts to: which objects it is about, and how much it writes. Names are sorted. */
export interface PlanSummary {
  readonly family: Family;
  /** Chains, sets, set members and jumps that change. */
  readonly changes: number;
  readonly services: PartCounts & { readonly objects: ServiceNames };
  readonly policies: PartCounts & { readonly objects: PolicyNames };
  /** Jumps from built-in chains, with the reason of each. */
  readonly jumps: readonly JumpChange[];
  /** Chains that are only emptied, because rules of other programs refer to them. */
  readonly held: readonly { readonly table: TableName; readonly name: string }[];
}

/** Costs as much as the plan is long. */
export function planSummary(explained: ExplainedPlan): PlanSummary {
  const { plan, parts } = explained;
  return {
    family: plan.family,
    changes: countChanges(explained),
    services: { ...partCounts(explained, parts.services), objects: changedServices(explained) },
    policies: { ...partCounts(explained, parts.policies), objects: changedPolicies(explained) },
    jumps: plan.jumps,
    held: plan.deleteChains
      .filter(({ isHeld }) => isHeld === true)
      .map(({ table, name }) => ({ table, name })),
  };
}

function partCounts(explained: ExplainedPlan, plan: Plan): PartCounts {
  const replaced = plan.createSets.filter(({ replaces }) => replaces !== undefined).length;
  const added = plan.writeChains.filter(({ isNew }) => isNew).length;
  const held = plan.deleteChains.filter(({ isHeld }) => isHeld === true).length;
  const rules = { add: 0, remove: 0 };
  for (const chain of plan.writeChains) {
    const difference = writtenDifference(explained, chain);
    rules.add += difference.added.length;
    rules.remove += difference.removed.length;
  }
  for (const { table, name } of plan.deleteChains)
    rules.remove += appliedRules(explained, table, name).length;
  const inserted = plan.jumps.filter(({ kind }) => kind === 'insert').length;
  return {
    sets: { add: plan.createSets.length - replaced, replace: replaced, remove: plan.destroySets.length },
    members: { add: countMembers(plan.addMembers), remove: countMembers(plan.removeMembers) },
    chains: {
      add: added,
      change: plan.writeChains.length - added,
      remove: plan.deleteChains.length - held,
      empty: held,
    },
    rules,
    jumps: { add: inserted, remove: plan.jumps.length - inserted },
  };
}

function changedPolicies(explained: ExplainedPlan): PolicyNames {
  const { originsOf, parts } = explained;
  const networkPolicies = new Set<NamespacedName>();
  const pods = new Set<NamespacedName>();
  const note = (element: Parameters<typeof originsOf>[0]): void => {
    for (const { kind, namespace, name } of originsOf(element)) {
      if (kind === 'NetworkPolicy') networkPolicies.add(namespacedName(namespace, name));
      if (kind === 'Pod') pods.add(namespacedName(namespace, name));
    }
  };
  for (const chain of parts.policies.writeChains) {
    const { table, name } = chain;
    if (!isPolicyChain(table, name)) continue;
    const { added, removed } = writtenDifference(explained, chain);
    for (const rule of [...added, ...removed]) note({ kind: 'rule', table, chain: name, rule });
  }
  for (const { set, members } of [...parts.policies.addMembers, ...parts.policies.removeMembers])
    for (const member of members) note({ kind: 'member', set, member });
  return { networkPolicies: [...networkPolicies].toSorted(), pods: [...pods].toSorted() };
}
