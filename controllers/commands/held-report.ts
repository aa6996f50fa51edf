import { type FamilyTools, nftFamily, type SetHolder } from '../../pkg/apply/index.ts';
import type { ForeignReference, Plan, SetName } from '../../pkg/kernel/index.ts';

/** What stays in the kernel after a clean-up of one family, because others refer to it. */
export interface Held {
  /** By rules of the filter and nat tables. */
  readonly references: readonly ForeignReference[];
  /** Chains that a rule refers to which iptables cannot print. */
  readonly chains: Plan['deleteChains'];
  /** Sets that the kernel kept for something else, with what was found. */
  readonly sets: ReadonlyMap<SetName, readonly SetHolder[]>;
}

/** Lines for people: what stays, who refers to it, and the command that ends that. None where nothing stays. */
export function heldReport(
  { references, chains, sets }: Held,
  tools: Pick<FamilyTools, 'family' | 'list'>,
): readonly string[] {
  const lines = [
    ...references.flatMap(({ kind, name, table, chain, rule }) => [
      kind === 'chain' ? `  chain ${table} ${name}, emptied` : `  set ${name}`,
      ...ruleLines(tools.list, table, chain, rule),
    ]),
    ...chains.flatMap(({ table, name }) => [
      `  chain ${table} ${name}, emptied`,
      `    a rule that iptables cannot print refers to it: see nft list table ${nftFamily(tools.family)} ${table}`,
    ]),
    ...[...sets].flatMap(([name, holders]) => [
      `  set ${name}`,
      ...(holders.length === 0
        ? [`    something that Weir does not find refers to it: see References of ipset list ${name}`]
        : holders.flatMap((holder) =>
            holder.kind === 'set'
              ? [
                  `    set ${holder.name} has it as a member; remove it with: ipset del ${holder.name} ${name}`,
                ]
              : ruleLines(holder.program, holder.table, holder.chain, holder.rule),
          )),
    ]),
  ];
  if (lines.length === 0) return [];
  return [
    `${tools.family}: not removed, because others refer to it:`,
    ...lines.filter((line, index) => line.startsWith('    ') || !lines.slice(0, index).includes(line)),
    '  Remove these references, then run weir cleanup again.',
  ];
}

function ruleLines(program: string, table: string, chain: string, rule: string): readonly string[] {
  return [
    `    ${table} ${chain} has: ${rule}`,
    `      remove it with: ${program} -t ${table} -D ${chain} ${rule}`,
  ];
}
