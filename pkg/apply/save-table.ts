import { parseIptablesSave, type TableGaps, type TableName, type TableSnapshot } from '../kernel/index.ts';
import { type CommandRunner } from '../runtime/index.ts';
import { failureText, isNoTable, isUnprintable, succeeded } from './command-failure.ts';
import { type Landmarks, noLandmarks } from './landmarks.ts';
import { readByChain } from './read-by-chain.ts';
import { type ShowOptions, showError, showPatienceMs } from './show.ts';
import type { FamilyTools } from './tools.ts';

export interface SaveOptions extends ShowOptions {
  /** Where to look for chains in a table that cannot be printed whole; defaults to its built-in chains alone. */
  readonly landmarks?: Landmarks | undefined;
  /** Chains of the table that were there a moment ago. */
  readonly known?: Iterable<string>;
  /** With the packets that each rule has counted. */
  readonly withCounters?: boolean;
}

/** A table in the form of iptables-save. */
export interface SavedTable {
  /** Empty where the kernel has no such table. */
  readonly text: string;
  readonly gaps?: TableGaps;
  /** Why the kernel does not make the table when it is written, either. */
  readonly unavailable?: string;
}

/** A table of a family. Where iptables cannot print it whole it has gaps. Throws as `show`. */
export async function saveTable(
  commands: CommandRunner,
  tools: FamilyTools,
  table: TableName,
  options: SaveOptions = {},
): Promise<SavedTable> {
  const printed = await print(commands, tools.save, ['-t', table], options);
  return printed ?? saveByChain(commands, tools, table, options);
}

/**
 * The filter table, for those who look often: on nf_tables iptables-save fetches all tables of the family even for one (0.8 s where nat has
 * 60,000 rules), but a listing only the one (0.02 s). Where iptables cannot print it whole it has gaps. Throws as `show`.
 */
export async function saveFilter(
  commands: CommandRunner,
  tools: FamilyTools,
  options: SaveOptions = {},
): Promise<SavedTable> {
  const { withCounters = false } = options;
  const table = ['-t', 'filter'];
  const isLegacy = tools.backend === 'legacy';
  const [file, args] = isLegacy
    ? [tools.save, [...(withCounters ? ['-c'] : []), ...table]]
    : [tools.list, [...table, '-S', ...(withCounters ? ['-v'] : [])]];
  const printed = await print(commands, file, args, options);
  if (printed === undefined) return saveByChain(commands, tools, 'filter', options);
  return isLegacy || printed.unavailable !== undefined
    ? printed
    : { text: asSaved('filter', printed.text.split('\n')) };
}

/** A saved table as it is compared. */
export function parseSaved(table: TableName, { text, gaps }: SavedTable): TableSnapshot | undefined {
  const snapshot = parseIptablesSave(text).get(table);
  return snapshot === undefined || gaps === undefined ? snapshot : { ...snapshot, gaps };
}

async function saveByChain(
  commands: CommandRunner,
  tools: FamilyTools,
  table: TableName,
  { landmarks = noLandmarks, known = [], ...options }: SaveOptions,
): Promise<SavedTable> {
  const context = { commands, tools, ...options };
  const { lines, unreadable } = await readByChain(context, table, { landmarks, known });
  return { text: asSaved(table, lines), gaps: { unreadable } };
}

/** What a program prints; `undefined` where iptables-nft cannot. Throws as `show`. */
async function print(
  commands: CommandRunner,
  file: string,
  args: readonly string[],
  { timeoutMs = showPatienceMs, signal }: ShowOptions,
): Promise<SavedTable | undefined> {
  const result = await commands.run({ file, args, captureOutput: true, timeoutMs }, signal);
  if (isUnprintable(result)) return undefined;
  if (isNoTable(result)) return { text: '', unavailable: `${file}: ${failureText(result)}` };
  if (!succeeded(result)) throw showError(file, args, result);
  return { text: result.stdout };
}

/** `-P CHAIN POLICY`, `-N CHAIN` and `-A CHAIN …`, with counters as `-c PACKETS BYTES` in front of the target. */
function asSaved(table: TableName, listing: readonly string[]): string {
  const lines = listing.flatMap((line) => {
    if (line.startsWith('-A ')) return [line.replace(counters, '[$2:$3] $1$4')];
    const [kind, chain = '', policy = '-'] = line.split(' ');
    return kind === '-P' || kind === '-N' ? [`:${chain} ${policy} [0:0]`] : [];
  });
  return [`*${table}`, ...lines, 'COMMIT', ''].join('\n');
}

const counters = /^(-A .*?) -c (\d+) (\d+)( -[jg] .*)?$/u;
