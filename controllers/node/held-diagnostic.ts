import type { Diagnostic } from '../../pkg/api/index.ts';
import type { RuleState } from '../../pkg/kernel/index.ts';

/** Chains and sets that Weir does not need any more and cannot remove, because rules of others refer to them; each with such a rule. */
export function heldDiagnostics(
  states: readonly Pick<RuleState, 'family' | 'heldByOthers'>[],
  nodeName: string,
): readonly Diagnostic[] {
  return states.flatMap((state) =>
    state.heldByOthers().map(({ kind, name, table, chain, rule }) => {
      const what = kind === 'chain' ? `chain ${table} ${name} was emptied` : `set ${name} is left as it is`;
      const message = `${state.family} ${what}, because ${table} ${chain} refers to it (${rule}); it goes when that rule goes`;
      return { severity: 'warning', kind: 'Node', namespace: '', name: nodeName, field: '', message };
    }),
  );
}
