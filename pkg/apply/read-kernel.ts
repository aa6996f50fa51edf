import type { KernelSnapshot, SetSizes, TableName, TableSnapshot } from '../kernel/index.ts';
import { parseIpsetList, parseIpsetSave } from '../kernel/index.ts';
import type { CommandRunner } from '../runtime/index.ts';
import { checkRule } from './check-rule.ts';
import { isNoTable, isUnprintable, succeeded } from './command-failure.ts';
import { type Landmarks, noLandmarks } from './landmarks.ts';
import { parseSaved, saveFilter, saveTable } from './save-table.ts';
import { show, showError, showPatienceMs } from './show.ts';
import type { FamilyTools } from './tools.ts';

export interface ReadOptions {
  /** Where to look for Weir's rules where a table cannot be printed whole; defaults to its built-in chains alone. */
  readonly landmarks?: Landmarks;
  /** Chains of a table that were there a moment ago. */
  readonly known?: ((table: TableName) => Iterable<string>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads the named tables of one family, and the sets of both. A table that is not named is not looked at: on legacy
 * looking creates it. A table that iptables cannot print whole has gaps; one that the kernel lacks is none. Throws a WeirError when anything
 * else could not be read.
 */
export async function readKernel(
  commands: CommandRunner,
  tools: FamilyTools,
  tables: readonly TableName[],
  { landmarks = noLandmarks, known, signal }: ReadOptions = {},
): Promise<KernelSnapshot> {
  // The filter table alone is read in the way that does not fetch the others.
  const isFilterAlone = tables.length === 1 && tables[0] === 'filter';
  const [sets, ...saved] = await Promise.all([
    show(commands, 'ipset', ['save'], { signal }),
    ...tables.map((table) => {
      const options = { signal, landmarks, known: known?.(table) ?? [] };
      return isFilterAlone
        ? saveFilter(commands, tools, options)
        : saveTable(commands, tools, table, options);
    }),
  ]);
  const found = new Map<TableName, TableSnapshot>();
  const unavailable = new Map<TableName, string>();
  for (const [index, table] of tables.entries()) {
    const { unavailable: why, ...one } = saved[index] ?? { text: '' };
    if (why !== undefined) unavailable.set(table, why);
    const snapshot = parseSaved(table, one);
    if (snapshot !== undefined) found.set(table, snapshot);
  }
  return { tables: found, sets: parseIpsetSave(sets), unavailable };
}

/** Reads the filter table, without sets; undefined where the kernel has none. Throws as `readKernel`. */
export async function readFilter(
  commands: CommandRunner,
  tools: FamilyTools,
  { landmarks = noLandmarks, known, signal }: ReadOptions = {},
): Promise<TableSnapshot | undefined> {
  const options = { signal, landmarks, known: known?.('filter') ?? [] };
  return parseSaved('filter', await saveFilter(commands, tools, options));
}

/**
 * Rule bodies of one chain that exists, such as a built-in one. On nf_tables this costs the same however full the table is;
 * legacy copies the table. Of a chain that iptables cannot print only the landmarks that it holds; none where the kernel has no such table.
 * Throws as `readKernel`, also when there is no such chain.
 */
export async function readChain(
  commands: CommandRunner,
  tools: FamilyTools,
  table: TableName,
  chain: string,
  { landmarks = noLandmarks, signal }: ReadOptions = {},
): Promise<readonly string[]> {
  // -w: on legacy even a listing waits for the lock.
  const args = ['-w', '5', '-t', table, '-S', chain];
  const command = { file: tools.list, args, captureOutput: true, timeoutMs: showPatienceMs };
  const result = await commands.run(command, signal);
  const jumps = landmarks.jumps.filter((jump) => jump.table === table && jump.builtin === chain);
  if (isUnprintable(result) && jumps.length > 0) {
    const presence = jumps.map(({ rule }) => checkRule({ commands, tools, signal }, table, chain, rule));
    const found = await Promise.all(presence);
    return jumps.flatMap(({ rule }, index) => (found[index] === 'present' ? [rule] : []));
  }
  if (isNoTable(result)) return [];
  if (!succeeded(result)) throw showError(tools.list, args, result);
  const start = `-A ${chain} `;
  return result.stdout
    .split('\n')
    .flatMap((line) => (line.startsWith(start) ? [line.slice(start.length)] : []));
}

/**
 * How many members each set has, of both families and whoever made it: ipset lists the heads of all sets or of one. With 200 sets it takes
 * 4 ms, a process start included, and 10 ms where one of them has 200,000 members. Throws as `readKernel`.
 */
export async function readSetSizes(commands: CommandRunner, signal?: AbortSignal): Promise<SetSizes> {
  return parseIpsetList(await show(commands, 'ipset', ['list', '-t'], { signal }));
}
