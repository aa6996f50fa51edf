import type { Jump } from './jumps.ts';
import type { TableName } from './names.ts';
import type { JumpChange } from './plan.ts';
import type { TableSnapshot } from './snapshot.ts';

const reason = 'in a chain that iptables cannot print';

/**
 * What puts to the top those of the jumps that must be first and stand in a built-in chain that cannot be printed: in front of them may be
 * anything. For one transaction, in which they are never gone.
 */
export function jumpsOfUnknownPlace(
  tables: ReadonlyMap<TableName, TableSnapshot>,
  jumps: readonly Jump[],
): readonly JumpChange[] {
  const unsure = jumps.filter(({ table, builtin, rule, position }) => {
    const { gaps, builtins } = tables.get(table) ?? {};
    const isThere = builtins?.get(builtin)?.includes(rule) === true;
    return position === 'first' && isThere && gaps?.unreadable.includes(builtin) === true;
  });
  const change = (kind: JumpChange['kind']) => (jump: Jump) => ({ kind, reason, ...placeOf(jump) });
  return [...unsure.map(change('delete')), ...unsure.toReversed().map(change('insert'))];
}

function placeOf({ table, builtin, rule }: Jump): Pick<JumpChange, 'table' | 'builtin' | 'rule'> {
  return { table, builtin, rule };
}
