import type { Family } from '../net/index.ts';
import { BuiltinChains } from './builtin-chains.ts';
import type { ForeignReference } from './foreign-reference.ts';
import type { Drift } from './jump-drift.ts';
import type { Jump } from './jumps.ts';
import type { MemberElement, RuleElement } from './kernel-element.ts';
import type { ChainName, SetName, TableName } from './names.ts';
import type { SetSizes } from './parse-ipset-list.ts';
import { byName, inWritingOrder, type JumpChange, type Plan } from './plan.ts';
import type { SetSpec, SetType } from './set.ts';
import { SetState } from './set-state.ts';
import type { KernelSnapshot, TableSnapshot } from './snapshot.ts';
import { type Owner, TableState } from './table-state.ts';

/** Which chains, jumps and sets belong to a part. Everything else is another part's or somebody else's. */
export interface Ownership {
  /** Where it has chains. Defaults to filter and nat. */
  readonly tables?: readonly TableName[];
  chain(table: TableName, name: string): Owner;
  /**
   * Whether a rule of a built-in chain that leads into a chain of ours is one that is written for it, by this version or another. All other such
   * rules are of people who want traffic of their choice there. `rule`: in the spelling of `printRule`.
   */
  jump(table: TableName, rule: string): boolean;
  /** Whether the set may be deleted when nobody wants it any more. */
  set(name: string): boolean;
  /** Whether jumps of another part into this chain stay in front of the part's own. Defaults to none. */
  staysAhead?(target: string): boolean;
}

/**
 * All rules and sets of one part in one family: as they should be and as they are in the kernel. Rule writers say what they
 * want; `plan` is the difference, and costs as much as the difference is long.
 */
export class RuleState {
  readonly family: Family;
  readonly #tables: ReadonlyMap<TableName, TableState>;
  readonly #sets: SetState;
  readonly #builtins: BuiltinChains;
  /** Tables that the kernel lacks: what should be in them is not planned. */
  #unavailable: ReadonlyMap<TableName, string> = new Map();

  /** `builtins`: what the kernel's own chains hold, which all parts of a family share. */
  constructor(family: Family, ownership: Ownership, builtins: BuiltinChains = new BuiltinChains()) {
    this.family = family;
    this.#builtins = builtins;
    this.#tables = new Map(
      (ownership.tables ?? (['filter', 'nat'] as const)).map((table) => [
        table,
        new TableState(family, table, ownership),
      ]),
    );
    this.#sets = new SetState((name) => ownership.set(name));
  }

  /** Where the part has chains. */
  get tables(): readonly TableName[] {
    return [...this.#tables.keys()];
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

  /** One more owner wants `member` (in its canonical form: `canonicalMember`) in a defined set. */
  addMember(set: SetName, member: string): void {
    this.#sets.add(set, member);
  }

  removeMember(set: SetName, member: string): void {
    this.#sets.remove(set, member);
  }

  /** All jumps into own chains; replaces what was said before. Order counts within a built-in chain. */
  setJumps(jumps: readonly Jump[]): void {
    for (const [name, table] of this.#tables) table.setJumps(jumps.filter((jump) => jump.table === name));
  }

  /** Rules the kernel holds now in an own chain; `undefined` where it has no such chain. */
  appliedChain(table: TableName, name: ChainName): string | undefined {
    return this.#tables.get(table)?.appliedRules(name);
  }

  /** Own chains that the kernel holds now. */
  appliedChains(table: TableName): Iterable<ChainName> {
    return this.#tables.get(table)?.appliedNames() ?? [];
  }

  /** Rules that should be in an own chain; `undefined` where it should not exist. */
  desiredChain(table: TableName, name: ChainName): string | undefined {
    return this.#tables.get(table)?.desiredRules(name);
  }

  /** How many rules should be in a table's own chains, without the jumps into them. Looks at every chain. */
  countDesiredRules(table: TableName): number {
    return this.#tables.get(table)?.countDesiredRules() ?? 0;
  }

  /** Of which type a set is that should exist; `undefined`: it should not. */
  setType(name: SetName): SetType | undefined {
    return this.#sets.spec(name)?.type;
  }

  /** Whether nothing passes that should not when a rule or a member is left out. */
  mayLeaveOut(element: RuleElement | MemberElement): boolean {
    return element.kind === 'rule' ? closesNothing(element) : this.#sets.spec(element.set)?.joinLast === true;
  }

  /** Does without a rule or a member for as long as its chain or set is wanted, or until `leaveNothingOut`. */
  leaveOut(element: RuleElement | MemberElement): void {
    if (element.kind === 'member') this.#sets.leaveOut(element.set, element.member);
    else this.#tables.get(element.table)?.leaveOut(element.chain, element.rule);
  }

  leaveNothingOut(): void {
    for (const table of this.#tables.values()) table.leaveNothingOut();
    this.#sets.leaveNothingOut();
  }

  /** What is left out now. */
  leftOut(): readonly (RuleElement | MemberElement)[] {
    const rules = [...this.#tables.values()].flatMap((table) => table.leftOut());
    return [...rules, ...this.#sets.leftOut()];
  }

  /** Takes in what was read from the kernel, in place of what was believed. */
  replaceApplied(snapshot: KernelSnapshot): void {
    for (const name of this.#tables.keys()) this.replaceAppliedTable(name, snapshot.tables.get(name));
    this.replaceAppliedSets(snapshot);
    this.#unavailable = snapshot.unavailable ?? new Map();
  }

  /** Tables that the kernel was found to lack, with the reasons. */
  get unavailable(): ReadonlyMap<TableName, string> {
    return this.#unavailable;
  }

  /** Takes in what was read of the sets alone. */
  replaceAppliedSets({ sets }: Pick<KernelSnapshot, 'sets'>): void {
    this.#sets.replaceApplied(sets);
  }

  /** The same for one table; `undefined`: the kernel has no such table. */
  replaceAppliedTable(table: TableName, snapshot: TableSnapshot | undefined): void {
    this.#tables.get(table)?.replaceApplied(snapshot);
    this.#builtins.replaceTable(table, snapshot);
  }

  /** How others have changed a table since it was left. What is wanted and not written yet does not count. */
  driftInTable(table: TableName, snapshot: TableSnapshot | undefined): Drift {
    const state = this.#tables.get(table);
    if (state === undefined) return 'nothing';
    if (state.chainsWereChanged(snapshot)) return 'changed';
    const names = new Set([...this.#builtins.names(table), ...(snapshot?.builtins.keys() ?? [])]);
    return worst(
      Array.from(names, (name) => this.driftInChain(table, name, snapshot?.builtins.get(name) ?? [])),
    );
  }

  /** The same for the jumps in one built-in chain, which holds these rule bodies now. */
  driftInChain(table: TableName, builtin: string, lines: readonly string[]): Drift {
    const left = this.#builtins.lines(table, builtin);
    return this.#tables.get(table)?.jumpDrift(builtin, left, lines) ?? 'nothing';
  }

  /**
   * Own sets that are gone or have another number of members than they were left with, in words. `sizes`: the number of members of every
   * set in the kernel, `undefined` where it is not known.
   */
  setsOfOtherSize(sizes: SetSizes): readonly string[] {
    return this.#sets.ofOtherSize(sizes);
  }

  /** What nobody wants any more and the kernel keeps, because rules of others refer to it; by name. */
  heldByOthers(): readonly ForeignReference[] {
    return this.#foreignReferences()
      .filter(({ kind, table, name }) =>
        kind === 'set'
          ? this.#sets.isUnwanted(name as SetName)
          : this.desiredChain(table, name as ChainName) === undefined &&
            this.appliedChain(table, name as ChainName) !== undefined,
      )
      .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  #foreignReferences(builtins: BuiltinChains = this.#builtins): readonly ForeignReference[] {
    return [...this.#tables.values()].flatMap((table) => table.foreignReferences(builtins));
  }

  /**
   * The difference to the kernel as it was last seen, without tables that it lacks; nothing where it lacks all. `before`: changes of
   * jumps that other parts make in the same write, ahead of this one.
   */
  plan(before: readonly JumpChange[] = []): Plan {
    const builtins = this.#builtins.after(before);
    const available = [...this.#tables].filter(([name]) => !this.#unavailable.has(name));
    const tables = available.map(([, table]) => table);
    const chains = tables.map((table) => table.chainChanges(builtins));
    const held = this.#foreignReferences(builtins).flatMap(({ kind, name }) =>
      kind === 'set' ? [name] : [],
    );
    const sets = tables.length === 0 ? noSetChanges : this.#sets.changes(new Set(held));
    return {
      family: this.family,
      createSets: sets.createSets,
      addMembers: sets.addMembers,
      earlyRules: chains.flatMap((change) => change.earlyRules),
      writeChains: chains.flatMap((change) => change.writeChains).toSorted(inWritingOrder),
      jumps: tables.flatMap((table) => table.jumpChanges(builtins)),
      removeMembers: sets.removeMembers,
      deleteChains: chains.flatMap((change) => change.deleteChains).toSorted(byName),
      destroySets: sets.destroySets,
    };
  }

  /** The plan is in the kernel now, but for these sets that could not go. They are not tried again until they were wanted once more. */
  applied(plan: Plan, heldSets: readonly SetName[] = []): void {
    this.#sets.applied(plan, new Set(heldSets));
    for (const { table, name, rules } of plan.writeChains) this.#tables.get(table)?.written(name, rules);
    this.#builtins.changed(plan.jumps);
    for (const { table, name, isHeld } of plan.deleteChains)
      this.#tables.get(table)?.written(name, isHeld === true ? '' : undefined);
  }
}

/**
 * Without such a rule no more is let through: of the filter table one that lets something through, of nat one that translates. Without one
 * that returns in nat, others would translate what they should not.
 */
function closesNothing({ table, rule }: RuleElement): boolean {
  const returns = ` ${rule}`.endsWith(' -j RETURN');
  return table === 'nat' ? !returns : returns || ` ${rule}`.endsWith(' -j ACCEPT');
}

function worst(drifts: readonly Drift[]): Drift {
  if (drifts.includes('changed')) return 'changed';
  return drifts.includes('displaced') ? 'displaced' : 'nothing';
}

const noSetChanges = { createSets: [], addMembers: [], removeMembers: [], destroySets: [] } as const;
