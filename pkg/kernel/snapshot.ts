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
}

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
}
