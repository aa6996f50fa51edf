import { absentSnapshot } from '../../pkg/apply/index.ts';
import type { KernelSnapshot, TableGaps, TableName } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';

/** What a table that iptables cannot print means for people, and what they can do. */
export function gapWarning(family: Family, table: TableName, { unreadable }: TableGaps): string {
  const where =
    unreadable.length === 0 ? 'in a chain that nothing jumps to' : `in ${unreadable.slice(0, 6).join(', ')}`;
  const list = `nft list table ${family === 'IPv4' ? 'ip' : 'ip6'} ${table}`;
  return (
    `${family} table ${table} has rules that iptables cannot print (${where}): another program wrote them there with nft. ` +
    `Weir reads its own chains one by one; chains left over from before may stay until the table can be printed. ` +
    `Such rules belong into a table of their own: see ${list}`
  );
}

/** What tables that the kernel lacks mean. */
function missingWarning(family: Family, unavailable: ReadonlyMap<TableName, string>): string {
  const [filter, nat] = [unavailable.get('filter'), unavailable.get('nat')];
  if (filter !== undefined && nat !== undefined) return `no ${family} rules are written: ${filter}`;
  const [table, why, means] =
    filter === undefined
      ? ['nat', nat, `${family} Services are not routed, policies are enforced`]
      : ['filter', filter, `${family} policies are not enforced, Services are routed`];
  return `the kernel has no table ${table} for ${family}: ${means}, until its module is loaded (${why})`;
}

/** Reports once what of the kernel's tables Weir cannot read or write as it should, and when it can again. */
export class TableReport {
  readonly #log: Pick<Logger, 'info' | 'warn'>;
  /** What was reported, by what it was about, and reported again when that differs. */
  readonly #reported = new Map<string, string>();

  constructor(log: Pick<Logger, 'info' | 'warn'>) {
    this.#log = log;
  }

  /** A family that the node cannot do, before anything was read of it. */
  absent(family: Family, why: string): void {
    this.read(family, absentSnapshot(['filter', 'nat'], why));
  }

  /** Takes in what was read of a family. */
  read(family: Family, { tables, unavailable = new Map<TableName, string>() }: KernelSnapshot): void {
    const missing = [...unavailable.keys()].toSorted().join(' ');
    this.#note(`the kernel has all ${family} tables`, missing, () => missingWarning(family, unavailable));
    for (const [table, { gaps }] of tables) {
      const where = gaps === undefined ? '' : gapWarning(family, table, gaps);
      this.#note(`iptables can print ${family} table ${table} again`, where, () => where);
    }
  }

  #note(recovery: string, state: string, warning: () => string): void {
    if ((this.#reported.get(recovery) ?? '') === state) return;
    this.#reported.set(recovery, state);
    if (state === '') this.#log.info(`recovered: ${recovery}`);
    else this.#log.warn(warning());
  }
}
