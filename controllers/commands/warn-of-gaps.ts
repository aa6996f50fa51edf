import type { KernelSnapshot } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { gapWarning } from '../sync/table-report.ts';
import type { Output } from './output.ts';

/** Warns of each table that iptables cannot print as a whole. Whether there is one. */
export function warnOfGaps(
  family: Family,
  { tables }: KernelSnapshot,
  output: Pick<Output, 'warn'>,
): boolean {
  let hasGaps = false;
  for (const [table, { gaps }] of tables) {
    if (gaps === undefined) continue;
    hasGaps = true;
    output.warn(`warning: ${gapWarning(family, table, gaps)}\n`);
  }
  return hasGaps;
}
