import type { Family } from '../net/index.ts';
import { DeltaTracker } from './delta-tracker.ts';
import { applyJumpChanges, type Jump, planJumps, targetOf } from './jumps.ts';
import type { ChainName, TableName } from './names.ts';
import { normalizeRule } from './normalize-rule.ts';
import type { ChainWrite, JumpChange, Plan } from './plan.ts';
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

interface Builtin {
  jumps: readonly Jump[];
  lines: readonly string[];
}

/** The chains and jumps of one table: as they should be and as they are in the kernel. */
export class TableState {
  readonly #table: TableName;
  readonly #ownerOf: (chain: string) => Owner;
  readonly #chains: DeltaTracker<ChainName, ChainContent, string>;
  readonly #builtins = new Map<string, Builtin>();
  /** Own chains that a foreign chain refers to: the kernel would refuse to delete them. */
  #heldByOthers = new Set<string>();

  constructor(family: Family, table: TableName, ownerOf: (chain: string) => Owner) {
    this.#table = table;
    this.#chains = new DeltaTracker((desired, applied) => sameRules(desired, applied, family));
    this.#ownerOf = ownerOf;
  }

  setChain(name: ChainName, content: ChainContent): void {
    this.#chains.setDesired(name, content);
  }

  removeChain(name: ChainName): void {
    this.#chains.removeDesired(name);
  }

  setJumps(jumps: readonly Jump[]): void {
    for (const builtin of this.#builtins.values()) builtin.jumps = [];
    for (const jump of jumps) {
      const builtin = this.#builtin(jump.builtin);
      builtin.jumps = [...builtin.jumps, jump];
    }
  }

  appliedRules(name: ChainName): string | undefined {
    return this.#chains.applied(name);
  }

  desiredRules(name: ChainName): string | undefined {
    return this.#chains.desired(name)?.rules;
  }

  /** How many rules should be in the chains that `counts`, without the jumps into them. Looks at every chain. */
  countDesiredRules(counts: (chain: ChainName) => boolean): number {
    let count = 0;
    for (const [name, { rules }] of this.#chains.desiredEntries()) {
      if (rules === '' || !counts(name)) continue;
      count += 1;
      for (let at = rules.indexOf('\n'); at >= 0; at = rules.indexOf('\n', at + 1)) count += 1;
    }
    return count;
  }

  /** `undefined`: the kernel has no such table yet. */
  replaceApplied(snapshot: TableSnapshot | undefined): void {
    const chains = new Map<ChainName, string>();
    this.#heldByOthers = new Set();
    for (const [name, rules] of snapshot?.chains ?? []) {
      if (this.#ownerOf(name) !== 'foreign') chains.set(name, rules);
      else for (const target of this.#ownTargets(rules)) this.#heldByOthers.add(target);
    }
    this.#chains.replaceApplied(chains);
    for (const builtin of this.#builtins.values()) builtin.lines = [];
    for (const [name, lines] of snapshot?.builtins ?? []) this.#builtin(name).lines = lines;
  }

  replaceAppliedBuiltin(name: string, lines: readonly string[]): void {
    this.#builtin(name).lines = lines;
  }

  /** Unsorted. */
  chainChanges(): Pick<Plan, 'writeChains' | 'deleteChains' | 'earlyRules'> {
    const table = this.#table;
    const writeChains: ChainWrite[] = [];
    const deleteChains: Plan['deleteChains'][number][] = [];
    const earlyRules: Plan['earlyRules'][number][] = [];
    const held = this.#held();
    for (const name of this.#chains.pending()) {
      const desired = this.#chains.desired(name);
      const applied = this.#chains.applied(name);
      if (desired === undefined) {
        if (this.#ownerOf(name) === 'own' && !held.has(name)) deleteChains.push({ table, name });
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

  jumpChanges(): readonly JumpChange[] {
    const isOurs = (target: string): boolean => this.#ownerOf(target) === 'own';
    return [...this.#builtins]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([name, { jumps, lines }]) => planJumps(this.#table, name, jumps, lines, isOurs));
  }

  written(name: ChainName, rules: string | undefined): void {
    this.#chains.setApplied(name, rules);
  }

  jumpChanged(change: JumpChange): void {
    const builtin = this.#builtin(change.builtin);
    builtin.lines = applyJumpChanges(builtin.lines, [change]);
  }

  /** An early rule can only lead to a chain that is there already. */
  #needsEarly(rule: string, applied: string): boolean {
    return (
      this.#chains.applied(targetOf(rule) as ChainName) !== undefined && !applied.split('\n').includes(rule)
    );
  }

  /** Own chains that can't be deleted: those that others refer to, and what these refer to in turn while nobody rewrites them. */
  #held(): ReadonlySet<string> {
    const held = new Set(this.#heldByOthers);
    for (const name of held) {
      if (this.#chains.desired(name as ChainName) !== undefined) continue;
      for (const target of this.#ownTargets(this.#chains.applied(name as ChainName) ?? '')) held.add(target);
    }
    return held;
  }

  #ownTargets(rules: string): readonly string[] {
    return rules
      .split('\n')
      .map(targetOf)
      .filter((target) => this.#ownerOf(target) === 'own');
  }

  #builtin(name: string): Builtin {
    let builtin = this.#builtins.get(name);
    if (builtin === undefined) {
      builtin = { jumps: [], lines: [] };
      this.#builtins.set(name, builtin);
    }
    return builtin;
  }
}

/** Other versions of iptables spell some rules differently; only a difference in meaning counts. */
function sameRules(desired: ChainContent, applied: string, family: Family): boolean {
  if (desired.rules === applied) return true;
  const wanted = desired.rules.split('\n');
  const lines = applied.split('\n');
  if (wanted.length !== lines.length) return false;
  return lines.every(
    (line, index) => line === wanted[index] || normalizeRule(line, family) === wanted[index],
  );
}
