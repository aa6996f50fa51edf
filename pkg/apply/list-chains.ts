import type { TableName } from '../kernel/index.ts';
import type { CommandResult, CommandRunner } from '../runtime/index.ts';
import { isMissing, isUnprintable, succeeded } from './command-failure.ts';
import { type ShowOptions, showError, showPatienceMs } from './show.ts';
import type { FamilyTools } from './tools.ts';

export interface ListContext extends ShowOptions {
  readonly commands: CommandRunner;
  readonly tools: FamilyTools;
  /** With the packets that each rule has counted. */
  readonly withCounters?: boolean;
}

/** A chain as `iptables -S` lists it: `-P NAME POLICY` or `-N NAME`, then its rules. `undefined`: not there, or not to be printed. */
export type ChainListing = readonly string[] | undefined;

/**
 * Lists chains of a table of iptables-nft by their names. One process does it for all of them: iptables-restore takes `-S` as well
 * (10,000 chains with 50,000 rules: 1.4 s; `iptables -S` for each would take 50 s). It changes nothing and creates nothing. A chain that it
 * cannot list ends it, so it is started again behind that; `mayMiss` says how often. Chains that nobody got to have no entry.
 * Throws as `show`.
 */
export async function listChains(
  context: ListContext,
  table: TableName,
  names: readonly string[],
  mayMiss = Number.POSITIVE_INFINITY,
): Promise<ReadonlyMap<string, ChainListing>> {
  const listed = new Map<string, ChainListing>();
  let misses = 0;
  for (let from = 0; from < names.length && misses <= mayMiss; ) {
    const rest = names.slice(from);
    const { whole, hasEnded } = await listUntilMissing(context, table, rest);
    for (const [name, lines] of whole) listed.set(name, lines);
    // The last one that was begun may be the one that failed, or the one behind it.
    const doubtful = hasEnded
      ? rest.filter((name) => !whole.has(name))
      : rest.slice(whole.size, whole.size + 2);
    for (const name of doubtful) {
      const lines = await listChain(context, table, name);
      listed.set(name, lines);
      if (lines === undefined) misses += 1;
    }
    from += whole.size + doubtful.length;
  }
  return listed;
}

/** One chain by itself, which every version of iptables can do. */
async function listChain(context: ListContext, table: TableName, name: string): Promise<ChainListing> {
  const { commands, tools, withCounters, signal, timeoutMs = showPatienceMs } = context;
  const args = ['-t', table, ...listWords(name, withCounters)];
  const result = await commands.run({ file: tools.list, args, captureOutput: true, timeoutMs }, signal);
  if (succeeded(result)) return lines(result.stdout);
  if (isUnprintable(result) || isMissing(result)) return undefined;
  throw showError(tools.list, args, result);
}

async function listUntilMissing(
  context: ListContext,
  table: TableName,
  names: readonly string[],
): Promise<{ readonly whole: ReadonlyMap<string, readonly string[]>; readonly hasEnded: boolean }> {
  const { commands, tools, withCounters, signal, timeoutMs = showPatienceMs } = context;
  const args = ['--noflush'];
  const input = [
    `*${table}\n`,
    ...names.map((name) => `${listWords(name, withCounters).join(' ')}\n`),
    'COMMIT\n',
  ];
  const command = { file: tools.restore, args, input, captureOutput: true, timeoutMs };
  const result = await commands.run(command, signal);
  const hasEnded = succeeded(result);
  if (!hasEnded && isNoAnswer(result)) throw showError(tools.restore, args, result);
  const chains = [...chainsIn(result.stdout)];
  // Where it ended early, the last chain may be cut short.
  if (!hasEnded) chains.pop();
  return { whole: new Map(chains), hasEnded };
}

/** What else may have failed, the listing of the single chain says. */
function isNoAnswer(result: CommandResult): boolean {
  return result.spawnError !== undefined || result.timedOut || result.exitCode === undefined;
}

function* chainsIn(listing: string): Generator<readonly [string, readonly string[]]> {
  let chain: string[] | undefined;
  let name = '';
  for (const line of lines(listing)) {
    if (!line.startsWith('-P ') && !line.startsWith('-N ')) {
      chain?.push(line);
      continue;
    }
    if (chain !== undefined) yield [name, chain];
    name = line.split(' ')[1] ?? '';
    chain = [line];
  }
  if (chain !== undefined) yield [name, chain];
}

function listWords(name: string, withCounters = false): readonly string[] {
  return ['-S', name, ...(withCounters ? ['-v'] : [])];
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
