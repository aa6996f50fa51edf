import { applyJumpChanges } from './jumps.ts';
import type { TableName } from './names.ts';
import type { JumpChange } from './plan.ts';
import type { TableSnapshot } from './snapshot.ts';

/** The rules of the built-in chains of one family, as they were last seen or left: the same for all parts that have jumps in them. */
export class BuiltinChains {
  #tables: ReadonlyMap<TableName, ReadonlyMap<string, readonly string[]>> = new Map();

  /** Rule bodies; none where the kernel has no such chain. */
  lines(table: TableName, builtin: string): readonly string[] {
    return this.#tables.get(table)?.get(builtin) ?? [];
  }

  names(table: TableName): Iterable<string> {
    return this.#tables.get(table)?.keys() ?? [];
  }

  /** Takes in what was read of a table; `undefined`: the kernel has no such table. */
  replaceTable(table: TableName, snapshot: Pick<TableSnapshot, 'builtins'> | undefined): void {
    this.#tables = new Map([...this.#tables, [table, snapshot?.builtins ?? new Map()]]);
  }

  /** The same for one chain. */
  replaceChain(table: TableName, builtin: string, lines: readonly string[]): void {
    this.#tables = new Map([...this.#tables, [table, new Map(this.#tables.get(table)).set(builtin, lines)]]);
  }

  /** These changes are in the kernel now. */
  changed(changes: readonly JumpChange[]): void {
    for (const change of changes) {
      const { table, builtin } = change;
      this.replaceChain(table, builtin, applyJumpChanges(this.lines(table, builtin), [change]));
    }
  }

  /** As they would be after these changes. */
  after(changes: readonly JumpChange[]): BuiltinChains {
    const copy = new BuiltinChains();
    copy.#tables = this.#tables;
    copy.changed(changes);
    return copy;
  }
}
