/** A rule of a table, by its text as iptables-save prints it. */
export interface CountedRule {
  readonly chain: string;
  readonly rule: string;
}

/** `[packets:bytes] -A CHAIN RULE` */
const counted = /^\[(\d+):\d+\] -A (.*\S)\s*$/gmu;

/**
 * Packets that met each of these rules since it was last written, in the order of the rules, of what `iptables-save -c` prints of
 * their table; `undefined` for one that is not there.
 */
export function parseRuleCounters(
  saved: string,
  rules: readonly CountedRule[],
): readonly (number | undefined)[] {
  const packets = new Map<string, number>();
  for (const [, count, rule = ''] of saved.matchAll(counted)) packets.set(rule, Number(count));
  return rules.map(({ chain, rule }) => packets.get(`${chain} ${rule}`));
}
