import { targetOf } from './jumps.ts';
import type { TableName } from './names.ts';

/** A rule of another program that names a chain or a set of Weir's: the kernel keeps what it names for as long as the rule stands. */
export interface ForeignReference {
  readonly kind: 'chain' | 'set';
  /** The chain or set of Weir's. */
  readonly name: string;
  readonly table: TableName;
  /** The chain that the rule stands in. */
  readonly chain: string;
  readonly rule: string;
}

/** What is Weir's. */
export interface Owned {
  chain(name: string): boolean;
  set(name: string): boolean;
}

const setOption = /--(?:match|add|del|map|exist)-set (\S+)/g;

/** What the rules (bodies) of one chain that is not Weir's refer to. Each rule at most once for each name. */
export function foreignReferences(
  table: TableName,
  chain: string,
  rules: readonly string[],
  owned: Owned,
): readonly ForeignReference[] {
  return rules.flatMap((rule) => {
    const target = targetOf(rule);
    const sets = rule.includes('-set ')
      ? new Set([...rule.matchAll(setOption)].map(([, name = '']) => name))
      : [];
    return [
      ...(target !== '' && owned.chain(target)
        ? [{ kind: 'chain', name: target, table, chain, rule } as const]
        : []),
      ...[...sets]
        .filter((name) => owned.set(name))
        .map((name) => ({ kind: 'set', name, table, chain, rule }) as const),
    ];
  });
}
