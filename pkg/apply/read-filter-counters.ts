import type { CommandRunner } from '../runtime/index.ts';
import { saveFilter } from './save-table.ts';
import type { FamilyTools } from './tools.ts';

/** Whoever waits for numbers would rather have none than wait longer. */
const timeoutMs = 15_000;

/**
 * The filter table of a family as `iptables-save -c` prints it, with the counters of its rules. Only reads, and beside any writer.
 * Throws WEIR_SAVE_FAILED and other WeirErrors, or the signal's reason.
 */
export function readFilterCounters(
  commands: CommandRunner,
  tools: FamilyTools,
  signal?: AbortSignal,
): Promise<string> {
  return saveFilter(commands, tools, { withCounters: true, timeoutMs, signal });
}
