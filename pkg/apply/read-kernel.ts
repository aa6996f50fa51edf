import type { KernelSnapshot, SetSizes, TableName, TableSnapshot } from '../kernel/index.ts';
import { parseIpsetList, parseIpsetSave, parseIptablesSave } from '../kernel/index.ts';
import type { CommandRunner } from '../runtime/index.ts';
import { saveFilter, saveTable } from './save-table.ts';
import { show } from './show.ts';
import type { FamilyTools } from './tools.ts';

/**
 * Reads the named tables of one family, and the sets of both. A table that is not named is not looked at: on legacy
 * looking creates it. Throws a WeirError when anything could not be read whole.
 */
export async function readKernel(
  commands: CommandRunner,
  tools: FamilyTools,
  tables: readonly TableName[],
  signal?: AbortSignal,
): Promise<KernelSnapshot> {
  // The filter table alone is read in the way that does not fetch the others.
  const isFilterAlone = tables.length === 1 && tables[0] === 'filter';
  const [sets, ...texts] = await Promise.all([
    show(commands, 'ipset', ['save'], { signal }),
    ...(isFilterAlone
      ? [saveFilter(commands, tools, { signal })]
      : tables.map((table) => saveTable(commands, tools, table, signal))),
  ]);
  return { tables: parseIptablesSave(texts.join('')), sets: parseIpsetSave(sets) };
}

/** Reads the filter table, without sets; undefined where the kernel has none. Throws as `readKernel`. */
export async function readFilter(
  commands: CommandRunner,
  tools: FamilyTools,
  signal?: AbortSignal,
): Promise<TableSnapshot | undefined> {
  return parseIptablesSave(await saveFilter(commands, tools, { signal })).get('filter');
}

/**
 * Rule bodies of one chain that exists, such as a built-in one. On nf_tables this costs the same however full the table is;
 * legacy copies the table. Throws as `readKernel`, also when there is no such chain.
 */
export async function readChain(
  commands: CommandRunner,
  tools: FamilyTools,
  table: TableName,
  chain: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  // -w: on legacy even a listing waits for the lock.
  const text = await show(commands, tools.list, ['-w', '5', '-t', table, '-S', chain], { signal });
  const start = `-A ${chain} `;
  return text.split('\n').flatMap((line) => (line.startsWith(start) ? [line.slice(start.length)] : []));
}

/**
 * How many members each set has, of both families and whoever made it: ipset lists the heads of all sets or of one. With 200 sets it takes
 * 4 ms, a process start included, and 10 ms where one of them has 200,000 members. Throws as `readKernel`.
 */
export async function readSetSizes(commands: CommandRunner, signal?: AbortSignal): Promise<SetSizes> {
  return parseIpsetList(await show(commands, 'ipset', ['list', '-t'], { signal }));
}
