import type { CommandRunner } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import { failureText, succeeded } from './command-failure.ts';
import type { FamilyTools } from './tools.ts';

/** Whoever waits for numbers would rather have none than wait longer. */
const timeoutMs = 15_000;

/**
 * The filter table of a family as iptables-save prints it, with the counters of its rules. Only reads, and beside any writer.
 * Throws WEIR_SAVE_FAILED, or the signal's reason.
 */
export async function readFilterCounters(
  commands: CommandRunner,
  tools: FamilyTools,
  signal?: AbortSignal,
): Promise<string> {
  const args = ['-c', '-t', 'filter'];
  const result = await commands.run({ file: tools.save, args, captureOutput: true, timeoutMs }, signal);
  if (!succeeded(result))
    throw new WeirError('WEIR_SAVE_FAILED', `${[tools.save, ...args].join(' ')}: ${failureText(result)}`);
  return result.stdout;
}
