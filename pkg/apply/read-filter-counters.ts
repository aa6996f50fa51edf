import type { CommandRunner } from '../runtime/index.ts';
import type { ReadOptions } from './read-kernel.ts';
import { saveFilter } from './save-table.ts';
import type { FamilyTools } from './tools.ts';

/** Whoever waits for numbers would rather have none than wait longer. */
const timeoutMs = 15_000;

/**
 * The filter table of a family as `iptables-save -c` prints it, with the counters of its rules. Only reads, and beside any writer.
 * Throws WEIR_SAVE_FAILED and other WeirErrors, or the signal's reason.
 */
export async function readFilterCounters(
  commands: CommandRunner,
  tools: FamilyTools,
  { landmarks, signal }: ReadOptions = {},
): Promise<string> {
  const options = { withCounters: true, timeoutMs, signal, landmarks };
  return (await saveFilter(commands, tools, options)).text;
}
