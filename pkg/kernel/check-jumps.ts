import { parseRule } from './parse-rule.ts';
import type { TableSnapshot } from './snapshot.ts';

export interface JumpProblem {
  /** `missing`: a rule jumps to a chain that is not there. `unreferenced`: no rule jumps to this chain. */
  readonly kind: 'missing' | 'unreferenced';
  readonly chain: string;
  /** For `missing`: the chain whose rule jumps there. */
  readonly from?: string;
}

/**
 * What is wrong with the jumps of a table: the kernel refuses a jump to a chain that is not there, and a user chain that
 * no rule refers to is left over. Sorted by kind, chain and origin.
 */
export function checkJumps(table: TableSnapshot): readonly JumpProblem[] {
  const missing = new Map<string, JumpProblem>();
  const referenced = new Set<string>();
  const look = (from: string, bodies: readonly string[]): void => {
    for (const body of bodies) {
      const { target } = parseRule(body);
      if (target.kind !== 'jump' && target.kind !== 'goto') continue;
      const { chain } = target;
      referenced.add(chain);
      if (!table.chains.has(chain)) missing.set(`${chain} ${from}`, { kind: 'missing', chain, from });
    }
  };
  for (const [name, bodies] of table.builtins) look(name, bodies);
  for (const [name, text] of table.chains) if (text !== '') look(name, text.split('\n'));
  const unreferenced = [...table.chains.keys()]
    .filter((chain) => !referenced.has(chain))
    .toSorted()
    .map((chain): JumpProblem => ({ kind: 'unreferenced', chain }));
  const keys = [...missing.keys()].toSorted();
  return [...keys.map((key) => missing.get(key)).filter((problem) => problem !== undefined), ...unreferenced];
}
