import type { TableName } from '../kernel/index.ts';
import type { CommandRunner } from '../runtime/index.ts';
import { failureText, isNoTable } from './command-failure.ts';
import type { FamilyTools } from './tools.ts';

const timeoutMs = 60_000;

/** In each table iptables-nft makes its built-in chains when the first rule is written into one of them. */
const builtin: Readonly<Record<TableName, string>> = {
  filter: 'FORWARD',
  nat: 'PREROUTING',
  mangle: 'PREROUTING',
  raw: 'PREROUTING',
};

const rule = '-m comment --comment "weir: is there such a table" -j RETURN';

/**
 * Why the kernel does not make a table of iptables-nft that is not there; `undefined` where it does, or where something else went wrong.
 * What cannot be read off an empty table shows when it is written: a rule goes in and out in one transaction, and the table with
 * its built-in chains stays.
 */
export async function probeTable(
  commands: CommandRunner,
  tools: FamilyTools,
  table: TableName,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const chain = builtin[table];
  const input = `*${table}\n-I ${chain} 1 ${rule}\n-D ${chain} ${rule}\nCOMMIT\n`;
  const result = await commands.run({ file: tools.restore, args: ['--noflush'], input, timeoutMs }, signal);
  return isNoTable(result) ? `${tools.restore}: ${failureText(result)}` : undefined;
}
