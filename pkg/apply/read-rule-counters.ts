import type { CommandRunner } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import { failureText, succeeded } from './command-failure.ts';
import type { FamilyTools } from './tools.ts';

/** Whoever waits for numbers would rather have none than wait longer. */
const timeoutMs = 15_000;

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
  const args = ['-c', '-t', 'filter'];
  const result = await commands.run({ file: tools.save, args, captureOutput: true, timeoutMs }, signal);
  if (!succeeded(result))
    throw new WeirError('WEIR_SAVE_FAILED', `${[tools.save, ...args].join(' ')}: ${failureText(result)}`);
  const packets = new Map<string, number>();
  for (const [, count, rule = ''] of result.stdout.matchAll(counted)) packets.set(rule, Number(count));
  return rules.map(({ chain, rule }) => packets.get(`${chain} ${rule}`));
}

/** `[packets:bytes] -A CHAIN RULE` */
const counted = /^\[(\d+):\d+\] -A (.*\S)\s*$/gmu;
