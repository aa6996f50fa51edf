import type { Family } from '../net/index.ts';
import type { Jump } from './jumps.ts';
import type { ChainName, SetName, TableName } from './names.ts';
import type { SetSizes } from './parse-ipset-list.ts';
import type { ChainWrite, Plan } from './plan.ts';
import type { SetSpec } from './set.ts';
import { SetState } from './set-state.ts';
import type { KernelSnapshot, TableSnapshot } from './snapshot.ts';
import { type Owner, TableState } from './table-state.ts';

/** Which chains and sets are ours. Everything else is somebody else's. */
export interface Ownership {
  chain(table: TableName, name: string): Owner;
  /** Whether the set may be deleted when nobody wants it any more. */
  set(name: string): boolean;
}

/**
 * All rules and sets of one family: as they should be and as they are in the kernel. Rule writers say what they want;
 * `plan` is the difference, and costs as much as the difference is long.
 */
export class RuleState {
  readonly family: Family;
  readonly #tables: ReadonlyMap<TableName, TableState>;
  readonly #sets: SetState;
  readonly #jumps = new Map<string, readonly Jump[]>();

  constructor(family: Family, ownership: Ownership) {
    this.family = family;
    const table = (name: TableName): [TableName, TableState] => [
      name,
      new TableState(family, name, (chain) => ownership.chain(name, chain)),
    ];
    this.#tables = new Map([table('filter'), table('nat')]);
    this.#sets = new SetState((name) => ownership.set(name));
  }

  /** The chain shall hold exactly these rules (bodies, a line each). `stage`, `earlyRule`: see Plan. */
  setChain(table: TableName, name: ChainName, rules: string, stage: number, earlyRule?: string): void {
    this.#tables.get(table)?.setChain(name, { rules, stage, earlyRule });
  }

  removeChain(table: TableName, name: ChainName): void {
    this.#tables.get(table)?.removeChain(name);
  }

  /** The set shall exist. */
  defineSet(spec: SetSpec): void {
    this.#sets.define(spec);
  }

  /** Nobody needs the set any more; no rule that should be there may refer to it. */
  removeSet(name: SetName): void {
    this.#sets.undefine(name);
  }

  /** One more owner wants `member` (text as `ipset save` prints it) in a defined set. */
  addMember(set: SetName, member: string): void {
    this.#sets.add(set, member);
  }

  removeMember(set: SetName, member: string): void {
    this.#sets.remove(set, member);
  }

  /**
   * All jumps of one writer into its chains; replaces what it said before. Order counts within a built-in chain; those
   * that must be first stand before all others, whoever wrote them.
   */
  setJumps(writer: string, jumps: readonly Jump[]): void {
    this.#jumps.set(writer, jumps);
    const writers = [...this.#jumps].toSorted(([a], [b]) => (a < b ? -1 : 1));
    const all = writers.flatMap(([, ofWriter]) => ofWriter);
    const ordered = [
      ...all.filter((jump) => jump.position === 'first'),
      ...all.filter((jump) => jump.position !== 'first'),
    ];
    for (const [name, table] of this.#tables) table.setJumps(ordered.filter((jump) => jump.table === name));
  }

  /** Rules the kernel holds now in an own chain; `undefined` where it has no such chain. */
  appliedChain(table: TableName, name: ChainName): string | undefined {
    return this.#tables.get(table)?.appliedRules(name);
  }

  /** Rules that should be in an own chain; `undefined` where it should not exist. */
  desiredChain(table: TableName, name: ChainName): string | undefined {
    return this.#tables.get(table)?.desiredRules(name);
  }

  /** How many rules should be in a table's own chains that `counts`, without the jumps into them. Looks at every chain. */
  countDesiredRules(table: TableName, counts: (chain: ChainName) => boolean): number {
    return this.#tables.get(table)?.countDesiredRules(counts) ?? 0;
  }

  /** Takes in what was read from the kernel, in place of what was believed. */
  replaceApplied(snapshot: KernelSnapshot): void {
    for (const name of this.#tables.keys()) this.replaceAppliedTable(name, snapshot.tables.get(name));
    this.#sets.replaceApplied(snapshot.sets);
  }

  /** The same for one table; `undefined`: the kernel has no such table. */
  replaceAppliedTable(table: TableName, snapshot: TableSnapshot | undefined): void {
    this.#tables.get(table)?.replaceApplied(snapshot);
  }

  /** The same for one built-in chain: its rule bodies. */
  replaceAppliedBuiltin(table: TableName, builtin: string, lines: readonly string[]): void {
    this.#tables.get(table)?.replaceAppliedBuiltin(builtin, lines);
  }

  /**
   * Own sets that are gone or have another number of members than they were left with, in words. `sizes`: the number of members of every
   * set in the kernel, `undefined` where it is not known.
   */
  setsOfOtherSize(sizes: SetSizes): readonly string[] {
    return this.#sets.ofOtherSize(sizes);
  }

  /** The difference to the kernel as it was last seen. */
  plan(): Plan {
    const tables = [...this.#tables.values()];
    const chains = tables.map((table) => table.chainChanges());
    const sets = this.#sets.changes();
    return {
      family: this.family,
      createSets: sets.createSets,
      addMembers: sets.addMembers,
      earlyRules: chains.flatMap((change) => change.earlyRules),
      writeChains: chains.flatMap((change) => change.writeChains).toSorted(inWritingOrder),
      jumps: tables.flatMap((table) => table.jumpChanges()),
      removeMembers: sets.removeMembers,
      deleteChains: chains.flatMap((change) => change.deleteChains).toSorted(byName),
      destroySets: sets.destroySets,
    };
  }

  /** The plan is in the kernel now. */
  applied(plan: Plan): void {
    this.#sets.applied(plan);
    for (const { table, name, rules } of plan.writeChains) this.#tables.get(table)?.written(name, rules);
    for (const change of plan.jumps) this.#tables.get(change.table)?.jumpChanged(change);
    for (const { table, name } of plan.deleteChains) this.#tables.get(table)?.written(name, undefined);
  }
}

function inWritingOrder(a: ChainWrite, b: ChainWrite): number {
  return a.stage - b.stage || byName(a, b);
}

function byName(a: { table: TableName; name: ChainName }, b: { table: TableName; name: ChainName }): number {
  if (a.table !== b.table) return a.table < b.table ? -1 : 1;
  return a.name < b.name ? -1 : 1;
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
