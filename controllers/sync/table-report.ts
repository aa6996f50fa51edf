import { absentSnapshot, nftFamily } from '../../pkg/apply/index.ts';
import type { KernelSnapshot, TableGaps, TableName } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Part, tablesOf } from './part-ownership.ts';

/** What a table that iptables cannot print means for people, and what they can do. */
export function gapWarning(family: Family, table: TableName, { unreadable }: TableGaps): string {
  const where =
    unreadable.length === 0 ? 'in a chain that nothing jumps to' : `in ${unreadable.slice(0, 6).join(', ')}`;
  const list = `nft list table ${nftFamily(family)} ${table}`;
  return (
    `${family} table ${table} has rules that iptables cannot print (${where}): another program wrote them there with nft. ` +
    `Weir reads its own chains one by one; chains left over from before may stay until the table can be printed. ` +
    `Such rules belong into a table of their own: see ${list}`
  );
}

/** What becomes of a part where the kernel lacks a table. */
const whatHolds = {
  services: { withoutNat: 'Services are not routed', withoutFilter: 'Services are routed' },
  policies: { withoutNat: 'policies are enforced', withoutFilter: 'policies are not enforced' },
} as const;

/** What tables that the kernel lacks mean. */
function missingWarning(
  family: Family,
  unavailable: ReadonlyMap<TableName, string>,
  parts: readonly Part[],
): string {
  const [filter, nat] = [unavailable.get('filter'), unavailable.get('nat')];
  const isAbsent = tablesOf(parts, family).every((table) => unavailable.has(table));
  if (isAbsent) return `no ${family} rules are written: ${filter ?? nat}`;
  const [table, why] = filter === undefined ? ['nat', nat] : ['filter', filter];
  const means = parts
    .toReversed()
    .map((part) => whatHolds[part][table === 'nat' ? 'withoutNat' : 'withoutFilter']);
  return `the kernel has no table ${table} for ${family}: ${family} ${means.join(', ')}, until its module is loaded (${why})`;
}

/** Reports once what of the kernel's tables Weir cannot read or write as it should, and when it can again. */
export class TableReport {
  readonly #log: Pick<Logger, 'info' | 'warn'>;
  readonly #parts: readonly Part[];
  /** What was reported, by what it was about, and reported again when that differs. */
  readonly #reported = new Map<string, string>();

  constructor(log: Pick<Logger, 'info' | 'warn'>, parts: readonly Part[]) {
    this.#log = log;
    this.#parts = parts;
  }

  /** A family that the node cannot do, before anything was read of it. */
  absent(family: Family, why: string): void {
    this.read(family, absentSnapshot(tablesOf(this.#parts, family), why));
  }

  /** Takes in what was read of a family. */
  read(family: Family, { tables, unavailable = new Map<TableName, string>() }: KernelSnapshot): void {
    const missing = [...unavailable.keys()].toSorted().join(' ');
    this.#note(`the kernel has all ${family} tables`, missing, () =>
      missingWarning(family, unavailable, this.#parts),
    );
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
