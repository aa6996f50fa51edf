import type { KernelSnapshot, TableName, TableSnapshot } from '../kernel/index.ts';
import { type CommandRunner, isWeirError } from '../runtime/index.ts';
import { probeTable } from './probe-table.ts';
import { type ReadOptions, readKernel } from './read-kernel.ts';
import type { FamilyTools } from './tools.ts';

export interface AvailableOptions extends ReadOptions {
  /** Why the node has no such family, where it has none. */
  readonly whyOff?: (() => Promise<string | undefined>) | undefined;
  /** Executes what writes: a try changes the kernel although it leaves nothing behind. */
  readonly writing?: <T>(write: () => Promise<T>) => Promise<T>;
}

/**
 * Reads what somebody reads who is about to write: as `readKernel`, and tries tables of iptables-nft that are not there yet. That the
 * family is switched off, or its programs are missing, is a snapshot without any table; it may be another one the next time. Throws as
 * `readKernel` what else fails.
 */
export async function readAvailable(
  commands: CommandRunner,
  tools: FamilyTools,
  tables: readonly TableName[],
  { whyOff, writing = (write) => write(), ...options }: AvailableOptions = {},
): Promise<KernelSnapshot> {
  const off = await whyOff?.();
  if (off !== undefined) return { ...absentSnapshot(tables, off), isOff: true };
  try {
    const snapshot = await readKernel(commands, tools, tables, options);
    const tryTable = (table: TableName): Promise<string | undefined> =>
      writing(() => probeTable(commands, tools, table, options.signal));
    const unavailable = await tryMissing(tools, tables, snapshot, tryTable);
    return {
      ...snapshot,
      tables: new Map([...snapshot.tables].filter(([table]) => !unavailable.has(table))),
      unavailable,
    };
  } catch (error) {
    if (isWeirError(error) && error.code === 'WEIR_NO_IPTABLES') return absentSnapshot(tables, error.message);
    throw error;
  }
}

async function tryMissing(
  tools: FamilyTools,
  tables: readonly TableName[],
  { tables: found, unavailable }: KernelSnapshot,
  tryTable: (table: TableName) => Promise<string | undefined>,
): Promise<ReadonlyMap<TableName, string>> {
  const result = new Map(unavailable);
  if (tools.backend === 'legacy') return result;
  for (const table of tables) {
    if (result.has(table) || holdsAnything(found.get(table))) continue;
    const why = await tryTable(table);
    if (why !== undefined) result.set(table, why);
  }
  return result;
}

/**
 * Somebody has written the table. Where there is none, iptables-nft-save 1.8.8 and later prints empty chains of the kernel, as if there
 * were one.
 */
function holdsAnything(snapshot: TableSnapshot | undefined): boolean {
  if (snapshot === undefined) return false;
  if (snapshot.gaps !== undefined || snapshot.chains.size > 0) return true;
  return [...snapshot.builtins.values()].some((rules) => rules.length > 0);
}

/** What is read where the kernel has none of these tables. */
export function absentSnapshot(tables: readonly TableName[], why: string): KernelSnapshot {
  return {
    tables: new Map(),
    sets: new Map(),
    unavailable: new Map(tables.map((table) => [table, why])),
  };
}
