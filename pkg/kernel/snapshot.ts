import type { ChainName, SetName, TableName } from './names.ts';
import type { AppliedSetSpec } from './set.ts';

/** One table as `iptables-save` shows it. Rule bodies are the text behind `-A CHAIN `, a line each, joined by `\n`. */
export interface TableSnapshot {
  /** User chains → rule bodies (empty text for a chain without rules). */
  readonly chains: ReadonlyMap<ChainName, string>;
  /** Built-in chains (INPUT, PREROUTING …) → rule bodies. */
  readonly builtins: ReadonlyMap<string, readonly string[]>;
  /** Built-in chains → policy (`ACCEPT`, `DROP`). */
  readonly policies: ReadonlyMap<string, string>;
  /** Set where iptables cannot print the table as a whole. */
  readonly gaps?: TableGaps;
}

/**
 * What is not known of a table that iptables-nft cannot print, because another program wrote rules there with nft. Its chains were read one
 * by one, along their jumps: a chain that no readable rule jumps to is missing in the snapshot. A chain of the list has the one rule
 * `unreadableRule`; a built-in chain of it has the rules that were looked for and found, and their place is not known.
 */
export interface TableGaps {
  /** Chains that are there and cannot be printed; sorted. May be empty: chains that nothing jumps to are not found. */
  readonly unreadable: readonly string[];
}

/** Stands for all rules of a chain that iptables cannot print. Equals no rule. */
export const unreadableRule = '# rules that iptables cannot print';

export interface SetSnapshot {
  readonly spec: AppliedSetSpec;
  /** Members in their canonical form, without `timeout` and the like; not read where the type is none of Weir's. */
  readonly members: ReadonlySet<string>;
}

/** All that was read from the kernel for one family. Tables that hold nothing may be missing. */
export interface KernelSnapshot {
  readonly tables: ReadonlyMap<TableName, TableSnapshot>;
  /** Sets of both families: one name space. */
  readonly sets: ReadonlyMap<SetName, SetSnapshot>;
  /** Tables that the kernel does not have and does not make when they are written, with the reason, for people. */
  readonly unavailable?: ReadonlyMap<TableName, string>;
  /** The node has the family switched off: it forwards no packet of it. */
  readonly isOff?: boolean;
}
