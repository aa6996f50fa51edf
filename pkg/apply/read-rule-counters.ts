import type { CommandRunner } from '../runtime/index.ts';
import { saveFilterCounters } from './save-filter-counters.ts';
import type { FamilyTools } from './tools.ts';

/** A rule of the filter table, by its text as iptables-save prints it. */
export interface CountedRule {
  readonly chain: string;
  readonly rule: string;
}

/**
 * Packets that met each of these rules since it was last written, in the order of the rules; `undefined` for one that is not
 * there. Only reads, and beside any writer. Throws WEIR_SAVE_FAILED, or the signal's reason.
 */
export async function readRuleCounters(
  commands: CommandRunner,
  tools: FamilyTools,
  rules: readonly CountedRule[],
  signal?: AbortSignal,
): Promise<readonly (number | undefined)[]> {
  const saved = await saveFilterCounters(commands, tools, signal);
  const packets = new Map<string, number>();
  for (const [, count, rule = ''] of saved.matchAll(counted)) packets.set(rule, Number(count));
  return rules.map(({ chain, rule }) => packets.get(`${chain} ${rule}`));
}

/** `[packets:bytes] -A CHAIN RULE` */
const counted = /^\[(\d+):\d+\] -A (.*\S)\s*$/gmu;
