import type { TableName } from '../kernel/index.ts';
import { type CommandRunner, isWeirError, WeirError } from '../runtime/index.ts';
import { type ShowOptions, show } from './show.ts';
import type { FamilyTools } from './tools.ts';

/** A table of a family as iptables-save prints it. Throws as `show`. */
export async function saveTable(
  commands: CommandRunner,
  tools: FamilyTools,
  table: TableName,
  signal?: AbortSignal,
): Promise<string> {
  const text = await show(commands, tools.save, ['-t', table], { signal });
  // The tool says so in a comment, exits with 0 and shows nothing: that must not pass for an empty table.
  if (/^# Table `\w+' is incompatible/m.test(text)) throw incompatible(tools, table);
  return text;
}

export interface FilterOptions extends ShowOptions {
  /** With the packets that each rule has counted. */
  readonly withCounters?: boolean;
}

/**
 * The filter table as iptables-save prints it, for those who look often: on nf_tables iptables-save fetches all tables of the family
 * even for one (0.8 s where nat has 60,000 rules), but a listing only the one (0.02 s). Throws as `show`.
 */
export async function saveFilter(
  commands: CommandRunner,
  tools: FamilyTools,
  { withCounters = false, ...options }: FilterOptions = {},
): Promise<string> {
  const table = ['-t', 'filter'];
  if (tools.backend === 'legacy')
    return show(commands, tools.save, [...(withCounters ? ['-c'] : []), ...table], options);
  try {
    return asSaved(
      await show(commands, tools.list, [...table, '-S', ...(withCounters ? ['-v'] : [])], options),
    );
  } catch (error) {
    if (isWeirError(error) && /table `filter' is incompatible/.test(error.message))
      throw incompatible(tools, 'filter');
    throw error;
  }
}

function incompatible(tools: FamilyTools, table: TableName): WeirError {
  return new WeirError(
    'WEIR_SAVE_FAILED',
    `${tools.save} can not show table ${table}: somebody added rules with nft that iptables can not read; see nft list table`,
  );
}

/** `-P CHAIN POLICY`, `-N CHAIN` and `-A CHAIN …`, with counters as `-c PACKETS BYTES` in front of the target. */
function asSaved(listing: string): string {
  const lines = listing.split('\n').flatMap((line) => {
    if (line.startsWith('-A ')) return [line.replace(counters, '[$2:$3] $1$4')];
    const [kind, chain = '', policy = '-'] = line.split(' ');
    return kind === '-P' || kind === '-N' ? [`:${chain} ${policy} [0:0]`] : [];
  });
  return ['*filter', ...lines, 'COMMIT', ''].join('\n');
}

const counters = /^(-A .*?) -c (\d+) (\d+)( -[jg] .*)?$/u;
