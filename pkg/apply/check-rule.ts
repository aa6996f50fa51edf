import type { TableName } from '../kernel/index.ts';
import { failedLine, isMissing, isUnprintable, succeeded } from './command-failure.ts';
import type { ListContext } from './list-chains.ts';
import { showError, showPatienceMs } from './show.ts';

/** `no target`: the chain that the rule jumps to is not there. */
export type RulePresence = 'present' | 'absent' | 'no target';

/**
 * Whether a built-in chain holds a rule that jumps to a chain. iptables-nft finds it among rules that it has no words for; it stops at one
 * that it cannot make out, so that a rule behind that cannot be found, nor deleted, and counts as absent. Throws as `show`.
 *
 * @param rule its body, as `iptables -S` prints it
 */
export async function checkRule(
  { commands, tools, signal, timeoutMs = showPatienceMs }: ListContext,
  table: TableName,
  builtin: string,
  rule: string,
): Promise<RulePresence> {
  const args = ['--noflush'];
  // As a line of a restore, which takes a rule as it is printed.
  const input = `*${table}\n-C ${builtin} ${rule}\nCOMMIT\n`;
  const result = await commands.run({ file: tools.restore, args, input, timeoutMs }, signal);
  if (succeeded(result)) return 'present';
  if (isMissing(result)) return 'no target';
  const isNotFound = /Bad rule/.test(result.stderr) && failedLine(result.stderr) === 2;
  if (isNotFound || isUnprintable(result)) return 'absent';
  throw showError(tools.restore, [...args, `(-C ${builtin} ${rule})`], result);
}
