import type { Family } from '../net/index.ts';
import type { BuiltinChains } from './builtin-chains.ts';
import { DeltaTracker } from './delta-tracker.ts';
import { type ForeignReference, foreignReferences } from './foreign-reference.ts';
import { type Drift, jumpDrift } from './jump-drift.ts';
import { foreignRules, type Jump, type JumpOwnership, planJumps, targetOf } from './jumps.ts';
import type { RuleElement } from './kernel-element.ts';
import type { ChainName, TableName } from './names.ts';
import { normalizeRule } from './normalize-rule.ts';
import type { ChainWrite, JumpChange, Plan, StaleChain } from './plan.ts';
import type { Ownership } from './rule-state.ts';
import type { TableSnapshot } from './snapshot.ts';

/**
 * Whose a chain is. `own`: deleted when nobody wants it any more. `shared`: written when wanted, never deleted (kubelet has
 * a rule in it too). `foreign`: never touched.
 */
export type Owner = 'own' | 'shared' | 'foreign';

interface ChainContent {
  readonly rules: string;
  readonly stage: number;
  /** First rule of the chain, which may be put there ahead of the rest (see Plan.earlyRules). */
  readonly earlyRule: string | undefined;
}

interface LeftOutRules {
  /** The chain as it is wanted. */
  readonly whole: ChainContent;
  readonly rules: ReadonlySet<string>;
}

/** The chains and jumps of one part in one table: as they should be and as they are in the kernel. */
export class TableState {
  readonly #family: Family;
  readonly #table: TableName;
  readonly #ownership: Ownership;
  readonly #jumpOwnership: JumpOwnership;
  readonly #chains: DeltaTracker<ChainName, ChainContent, string>;
  #jumps: readonly Jump[] = [];
  /** Of rules in chains of others. */
  #references: readonly ForeignReference[] = [];
  /** Chains that do without some of the rules that are wanted. */
  readonly #leftOut = new Map<ChainName, LeftOutRules>();

  constructor(family: Family, table: TableName, ownership: Ownership) {
    this.#family = family;
    this.#table = table;
    this.#chains = new DeltaTracker((desired, applied) => sameRules(desired.rules, applied, family));
    this.#ownership = ownership;
    this.#jumpOwnership = {
      isOurs: (target) => this.#ownerOf(target) === 'own',
      isKnown: (rule) => ownership.jump(table, rule),
      staysAhead: (target) => ownership.staysAhead?.(target) ?? false,
    };
  }

  setChain(name: ChainName, content: ChainContent): void {
    const leftOut = this.#leftOut.get(name);
    if (leftOut === undefined) this.#chains.setDesired(name, content);
    else this.#setWithout(name, content, leftOut.rules);
  }

  /** For as long as the chain is wanted it does without this rule. */
  leaveOut(name: ChainName, rule: string): void {
    const leftOut = this.#leftOut.get(name);
    const whole = leftOut?.whole ?? this.#chains.desired(name);
    if (whole !== undefined) this.#setWithout(name, whole, new Set([...(leftOut?.rules ?? []), rule]));
  }

  leaveNothingOut(): void {
    for (const [name, { whole }] of this.#leftOut) this.#chains.setDesired(name, whole);
    this.#leftOut.clear();
  }

  leftOut(): readonly RuleElement[] {
    const table = this.#table;
    return [...this.#leftOut].flatMap(([chain, { rules }]) =>
      Array.from(rules, (rule) => ({ kind: 'rule', table, chain, rule }) as const),
    );
  }

  #setWithout(name: ChainName, whole: ChainContent, rules: ReadonlySet<string>): void {
    this.#leftOut.set(name, { whole, rules });
    this.#chains.setDesired(name, without(whole, rules));
  }

  removeChain(name: ChainName): void {
    this.#leftOut.delete(name);
    this.#chains.removeDesired(name);
  }

  setJumps(jumps: readonly Jump[]): void {
    this.#jumps = jumps;
  }

  appliedRules(name: ChainName): string | undefined {
    return this.#chains.applied(name);
  }

  appliedNames(): Iterable<ChainName> {
    return this.#chains.appliedKeys();
  }

  desiredRules(name: ChainName): string | undefined {
    return this.#chains.desired(name)?.rules;
  }

  /** How many rules should be in the chains, without the jumps into them. Looks at every chain. */
  countDesiredRules(): number {
    let count = 0;
    for (const [, { rules }] of this.#chains.desiredEntries()) {
      if (rules === '') continue;
      count += 1;
      for (let at = rules.indexOf('\n'); at >= 0; at = rules.indexOf('\n', at + 1)) count += 1;
    }
    return count;
  }

  /** `undefined`: the kernel has no such table yet. */
  replaceApplied(snapshot: TableSnapshot | undefined): void {
    const chains = new Map<ChainName, string>();
    const references: ForeignReference[] = [];
    for (const [name, rules] of snapshot?.chains ?? []) {
      if (this.#ownerOf(name) !== 'foreign') chains.set(name, rules);
      else if (rules !== '') references.push(...this.#referencesFrom(name, rules.split('\n')));
    }
    this.#references = references;
    this.#chains.replaceApplied(chains);
  }

  /** How the chains in the kernel differ from how they were left. What is wanted and not written yet does not count. */
  chainsWereChanged(snapshot: TableSnapshot | undefined): boolean {
    const chains = snapshot?.chains ?? new Map<ChainName, string>();
    const counts = (name: ChainName): boolean => {
      const owner = this.#ownerOf(name);
      return owner === 'own' || (owner === 'shared' && this.#chains.desired(name) !== undefined);
    };
    const differs = (name: ChainName, rules: string): boolean => {
      const left = this.#chains.applied(name);
      return left === undefined || !sameRules(left, rules, this.#family);
    };
    for (const [name, rules] of chains) if (counts(name) && differs(name, rules)) return true;
    for (const name of this.#chains.appliedKeys()) if (counts(name) && !chains.has(name)) return true;
    return false;
  }

  /** What others did to the jumps in one built-in chain. */
  jumpDrift(builtin: string, left: readonly string[], lines: readonly string[]): Drift {
    return jumpDrift(this.#jumpsIn(builtin), left, lines, this.#jumpOwnership.isOurs);
  }

  /** Rules of others that refer to own chains and sets, those in built-in chains last. */
  foreignReferences(builtins: BuiltinChains): readonly ForeignReference[] {
    const inBuiltins = [...builtins.names(this.#table)].flatMap((name) => {
      const lines = builtins.lines(this.#table, name);
      return this.#referencesFrom(name, foreignRules(this.#jumpsIn(name), lines, this.#jumpOwnership));
    });
    return [...this.#references, ...inBuiltins];
  }

  /** Unsorted. */
  chainChanges(builtins: BuiltinChains): Pick<Plan, 'writeChains' | 'deleteChains' | 'earlyRules'> {
    const table = this.#table;
    const writeChains: ChainWrite[] = [];
    const deleteChains: StaleChain[] = [];
    const earlyRules: Plan['earlyRules'][number][] = [];
    const references = this.foreignReferences(builtins);
    const held = new Set(references.flatMap(({ kind, name }) => (kind === 'chain' ? [name] : [])));
    for (const name of this.#chains.pending()) {
      const desired = this.#chains.desired(name);
      const applied = this.#chains.applied(name);
      if (desired === undefined) {
        if (this.#ownerOf(name) !== 'own') continue;
        if (!held.has(name)) deleteChains.push({ table, name });
        else if (applied !== '') deleteChains.push({ table, name, isHeld: true });
        continue;
      }
      writeChains.push({
        table,
        name,
        rules: desired.rules,
        stage: desired.stage,
        isNew: applied === undefined,
      });
      const rule = desired.earlyRule;
      if (rule !== undefined && applied !== undefined && this.#needsEarly(rule, applied)) {
        earlyRules.push({ table, chain: name, rule });
      }
    }
    return { writeChains, deleteChains, earlyRules };
  }

  /** What must change in the built-in chains, which hold this now. */
  jumpChanges(builtins: BuiltinChains): readonly JumpChange[] {
    const table = this.#table;
    const names = new Set([...builtins.names(table), ...this.#jumps.map(({ builtin }) => builtin)]);
    return [...names]
      .toSorted()
      .flatMap((name) =>
        planJumps(table, name, this.#jumpsIn(name), builtins.lines(table, name), this.#jumpOwnership),
      );
  }

  written(name: ChainName, rules: string | undefined): void {
    this.#chains.setApplied(name, rules);
  }

  /** An early rule can only lead to a chain that is there already. */
  #needsEarly(rule: string, applied: string): boolean {
    if (this.#chains.applied(targetOf(rule) as ChainName) === undefined) return false;
    return !applied.split('\n').some((line) => line === rule || normalizeRule(line) === rule);
  }

  #ownerOf(chain: string): Owner {
    return this.#ownership.chain(this.#table, chain);
  }

  #referencesFrom(chain: string, rules: readonly string[]): readonly ForeignReference[] {
    return foreignReferences(this.#table, chain, rules, {
      chain: (name) => this.#ownerOf(name) === 'own',
      set: (name) => this.#ownership.set(name),
    });
  }

  #jumpsIn(builtin: string): readonly Jump[] {
    return this.#jumps.filter((jump) => jump.builtin === builtin);
  }
}

function without(content: ChainContent, leftOut: ReadonlySet<string>): ChainContent {
  const rules = content.rules.split('\n').filter((rule) => !leftOut.has(rule));
  const { earlyRule } = content;
  return {
    ...content,
    rules: rules.join('\n'),
    earlyRule: earlyRule !== undefined && leftOut.has(earlyRule) ? undefined : earlyRule,
  };
}

/** Other versions of iptables spell some rules differently; only a difference in meaning counts. */
function sameRules(desired: string, applied: string, family: Family): boolean {
  if (desired === applied) return true;
  const wanted = desired.split('\n');
  const lines = applied.split('\n');
  if (wanted.length !== lines.length) return false;
  return lines.every(
    (line, index) => line === wanted[index] || normalizeRule(line, family) === wanted[index],
  );
}
