import type { KernelSnapshot, TableName, TableSnapshot } from '../kernel/index.ts';
import { parseIpsetList, parseIpsetSave, parseIptablesSave } from '../kernel/index.ts';
import type { CommandRunner } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import { failureText, isContention, isUnprivileged, succeeded } from './command-failure.ts';
import type { FamilyTools } from './tools.ts';

/** iptables-nft-save takes 17 s for 170,000 rules in 60,000 chains. */
const saveTimeoutMs = 120_000;

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
  const [sets, ...texts] = await Promise.all([
    save(commands, 'ipset', ['save'], signal),
    ...tables.map((table) => saveTable(commands, tools, table, signal)),
  ]);
  return { tables: parseIptablesSave(texts.join('')), sets: parseIpsetSave(sets) };
}

/** Reads one table, without sets; undefined where the kernel has none. Throws as `readKernel`. */
export async function readOneTable(
  commands: CommandRunner,
  tools: FamilyTools,
  table: TableName,
  signal?: AbortSignal,
): Promise<TableSnapshot | undefined> {
  return parseIptablesSave(await saveTable(commands, tools, table, signal)).get(table);
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
  const text = await save(commands, tools.list, ['-w', '5', '-t', table, '-S', chain], signal);
  const start = `-A ${chain} `;
  return text.split('\n').flatMap((line) => (line.startsWith(start) ? [line.slice(start.length)] : []));
}

/**
 * How many members each set has, of both families and whoever made it: ipset lists the heads of all sets or of one. With 200 sets it takes
 * 4 ms, a process start included, and 10 ms where one of them has 200,000 members. Throws as `readKernel`.
 */
export async function readSetSizes(
  commands: CommandRunner,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, number | undefined>> {
  return parseIpsetList(await save(commands, 'ipset', ['list', '-t'], signal));
}

async function saveTable(
  commands: CommandRunner,
  tools: FamilyTools,
  table: TableName,
  signal: AbortSignal | undefined,
): Promise<string> {
  const text = await save(commands, tools.save, ['-t', table], signal);
  // The tool says so in a comment, exits with 0 and shows nothing: that must not pass for an empty table.
  if (/^# Table `\w+' is incompatible/m.test(text)) {
    throw new WeirError(
      'WEIR_SAVE_FAILED',
      `${tools.save} can not show table ${table}: somebody added rules with nft that iptables can not read; see nft list table`,
    );
  }
  return text;
}

async function save(
  commands: CommandRunner,
  file: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const result = await commands.run({ file, args, captureOutput: true, timeoutMs: saveTimeoutMs }, signal);
  if (succeeded(result)) return result.stdout;
  const message = `${[file, ...args].join(' ')}: ${failureText(result)}`;
  if (isContention(result)) throw new WeirError('WEIR_LOCK_HELD', message);
  if (isUnprivileged(result)) throw new WeirError('WEIR_NOT_PRIVILEGED', message);
  if (result.spawnError !== 'ENOENT') throw new WeirError('WEIR_SAVE_FAILED', message);
  throw new WeirError(file === 'ipset' ? 'WEIR_NO_IPSET' : 'WEIR_NO_IPTABLES', message);
}
