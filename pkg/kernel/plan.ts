import type { Family } from '../net/index.ts';
import type { ChainName, SetName, TableName } from './names.ts';
import type { SetCreation } from './set.ts';

/** A chain to be written whole: flushed if it exists, then filled, in one transaction. */
export interface ChainWrite {
  readonly table: TableName;
  readonly name: ChainName;
  /** Rule bodies, a line each. */
  readonly rules: string;
  /** Chains only refer to chains of an equal or lower stage, so writing by stage never refers to what is not there. */
  readonly stage: number;
  /** Whether the kernel has no such chain yet (for the reader of a plan; the write is the same). */
  readonly isNew: boolean;
}

export interface MemberChange {
  readonly set: SetName;
  readonly members: readonly string[];
  /** To be added after the chains are written (see SetSpec.joinLast). */
  readonly last?: boolean;
}

/** A line to be taken out of, or put into, a built-in chain. */
export interface JumpChange {
  readonly kind: 'delete' | 'insert';
  readonly table: TableName;
  readonly builtin: string;
  /** Rule body. */
  readonly rule: string;
  /** Where it is inserted: its number in the chain, counted from 1. Defaults to the top. */
  readonly at?: number;
  /** Why, for people: `missing`, `behind a rule that ends the chain`, `twice`. */
  readonly reason: string;
}

/** An own chain that nobody wants any more. */
export interface StaleChain {
  readonly table: TableName;
  readonly name: ChainName;
  /** A rule of another program leads there: the kernel would refuse to delete the chain, so it is only emptied. */
  readonly isHeld?: true;
}

/**
 * The difference between what should be in the kernel and what is, for one family. It is executed in the order of its
 * fields, so that nothing is reachable before it is whole and nothing is taken away before its successor is there.
 */
export interface Plan {
  readonly family: Family;
  readonly createSets: readonly SetCreation[];
  readonly addMembers: readonly MemberChange[];
  /**
   * Rules put at the head of own chains before the chains below are rewritten piece by piece; the rewriting of the
   * chain itself, which comes last, takes them away again. Only when another proxy's rules are taken over.
   */
  readonly earlyRules: readonly {
    readonly table: TableName;
    readonly chain: ChainName;
    readonly rule: string;
  }[];
  /** By stage, then table, then name. */
  readonly writeChains: readonly ChainWrite[];
  /** Deletes before inserts for each built-in chain: the other way round a delete would hit the new rule. */
  readonly jumps: readonly JumpChange[];
  readonly removeMembers: readonly MemberChange[];
  readonly deleteChains: readonly StaleChain[];
  /** Temporary sets that somebody left behind go first, since their names may be needed again. */
  readonly destroySets: readonly SetName[];
}

/** Whether there is nothing to do. */
export function isEmptyPlan(plan: Plan): boolean {
  return (
    plan.createSets.length === 0 &&
    plan.addMembers.length === 0 &&
    plan.writeChains.length === 0 &&
    plan.jumps.length === 0 &&
    plan.removeMembers.length === 0 &&
    plan.deleteChains.length === 0 &&
    plan.destroySets.length === 0
  );
}

export function inWritingOrder(a: ChainWrite, b: ChainWrite): number {
  return a.stage - b.stage || byName(a, b);
}

export function byName(
  a: { readonly table: TableName; readonly name: ChainName },
  b: { readonly table: TableName; readonly name: ChainName },
): number {
  if (a.table !== b.table) return a.table < b.table ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}
