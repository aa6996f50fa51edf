import type { Flow, HookView } from './flow.ts';
import type { ChainName, SetName } from './names.ts';
import { parseRule } from './parse-rule.ts';
import { type Condition, createCondition } from './rule-conditions.ts';
import { createEffect, type RuleEffect } from './rule-effect.ts';
import type { SetSnapshot, TableSnapshot } from './snapshot.ts';

/** A rule made ready for walking over. */
export interface TracedRule {
  readonly text: string;
  readonly conditions: readonly Condition[];
  readonly effect: RuleEffect;
}

/** The chance that a flow matches, from 0 to 1; undefined where that can't be told. */
export function chanceOf(rule: TracedRule, flow: Flow, view: HookView): number | undefined {
  let chance = 1;
  let isKnown = true;
  for (const condition of rule.conditions) {
    const result = condition(flow, view);
    if (result === false || result === 0) return 0;
    if (result === undefined) isKnown = false;
    else chance *= Number(result);
  }
  return isKnown ? chance : undefined;
}

interface TracedChain {
  readonly texts: readonly string[];
  readonly rules: (TracedRule | undefined)[];
}

/** One table, whose rules are parsed when a packet first gets to them: a node has tens of thousands and a packet meets few. */
export class TracedTable {
  readonly #snapshot: TableSnapshot;
  readonly #sets: ReadonlyMap<SetName, SetSnapshot>;
  readonly #chains = new Map<string, TracedChain>();

  constructor(snapshot: TableSnapshot, sets: ReadonlyMap<SetName, SetSnapshot>) {
    this.#snapshot = snapshot;
    this.#sets = sets;
  }

  has(chain: string): boolean {
    return this.#snapshot.chains.has(chain as ChainName);
  }

  policy(builtin: string): string | undefined {
    return this.#snapshot.policies.get(builtin);
  }

  ruleCount(chain: string): number {
    return this.#chain(chain).texts.length;
  }

  /** `index` counts from 0. */
  rule(chain: string, index: number): TracedRule {
    const { texts, rules } = this.#chain(chain);
    const known = rules[index];
    if (known !== undefined) return known;
    const text = texts[index] ?? '';
    const { matches, target } = parseRule(text);
    const conditions = matches.map((match) => createCondition(match, this.#sets));
    const rule = { text, conditions, effect: createEffect(target) };
    rules[index] = rule;
    return rule;
  }

  #chain(name: string): TracedChain {
    const known = this.#chains.get(name);
    if (known !== undefined) return known;
    const chain = { texts: this.#texts(name), rules: [] };
    this.#chains.set(name, chain);
    return chain;
  }

  #texts(name: string): readonly string[] {
    const body = this.#snapshot.chains.get(name as ChainName);
    if (body === undefined) return this.#snapshot.builtins.get(name) ?? [];
    return body === '' ? [] : body.split('\n');
  }
}
