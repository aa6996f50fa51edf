import type { Jump, TableName } from '../kernel/index.ts';

/** Where to look for Weir's rules in a table that iptables cannot print whole. */
export interface Landmarks {
  /** Every jump from a built-in chain that Weir may have written. */
  readonly jumps: readonly Jump[];
  /** Chains that may be there although no rule jumps to them. */
  readonly chains: Readonly<Partial<Record<TableName, readonly string[]>>>;
}

export const noLandmarks: Landmarks = { jumps: [], chains: {} };
