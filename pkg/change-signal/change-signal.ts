import type { TableName } from '../kernel/index.ts';
import type { Family } from '../net/index.ts';

/**
 * What became of a table since the signal was asked last. `changed`: written by anyone, Weir itself included. `unknown`: the signal does
 * not work at the moment, or for the first time.
 */
export type TableNews = 'unchanged' | 'changed' | 'unknown';

/** The tables of both families that Weir writes. */
export interface Table {
  readonly family: Family;
  readonly table: Extract<TableName, 'filter' | 'nat'>;
}

/** Says at next to no cost whether rules have changed in the kernel. */
export interface ChangeSignal {
  /** What became of these tables. To be called again when it has answered. Never rejects. */
  ask(tables: readonly Table[]): Promise<(table: Table) => TableNews>;
  /** Leaves nothing behind. */
  stop(): void;
}
