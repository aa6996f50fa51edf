import { normalizeRule } from './normalize-rule.ts';

/** A rule of a table, by its text as `printRule` gives it. */
export interface CountedRule {
  readonly chain: string;
  readonly rule: string;
}

/** `[packets:bytes] -A CHAIN RULE` */
const counted = /^\[(\d+):\d+\] -A (\S+) (.*\S)\s*$/gmu;

/**
 * Packets that met each of these rules since it was last written, in the order of the rules, of what `iptables-save -c` prints of
 * their table; `undefined` for one that is not there.
 */
export function parseRuleCounters(
  saved: string,
  rules: readonly CountedRule[],
): readonly (number | undefined)[] {
  const packets = new Map<string, number>();
  const chains = new Set(rules.map(({ chain }) => chain));
  for (const [, count, chain = '', rule = ''] of saved.matchAll(counted))
    if (chains.has(chain)) packets.set(`${chain} ${normalizeRule(rule)}`, Number(count));
  return rules.map(({ chain, rule }) => packets.get(`${chain} ${rule}`));
}
