import type { RuleElement, SetName, SetType, TableName } from '../kernel/index.ts';
import { trialChain, trialSet, trialTarget } from '../kernel/index.ts';
import { type RestoreContext, restoreCommand, runPatiently } from './patient-run.ts';
import type { TryElements } from './refused-among.ts';
import { attemptOf } from './restore-attempt.ts';
import type { Family } from './tools.ts';

/**
 * Tries rules in a chain that nothing leads into. `--test` would not do: neither program asks the kernel with it. So the rules are
 * committed, and taken away in a second transaction of the same run; for a moment the kernel holds rules that no packet meets. The
 * chains that they lead to and the sets that they look into are stood in for, so that only what a rule says counts. The sets must be there
 * (`restoreTrialSets`).
 */
export function tryRules(
  tables: readonly TableName[],
  typeOf: (set: SetName) => SetType | undefined,
  context: RestoreContext,
  signal: AbortSignal | undefined,
): TryElements<RuleElement> {
  const { family } = context.tools;
  return async (rules) => {
    const input: string[] = [];
    const indexes = new Map<number, number>();
    for (const table of tables) {
      input.push(`*${table}\n`, ...declarations);
      for (const [index, { table: own, rule }] of rules.entries()) {
        if (own !== table) continue;
        input.push(`-A ${trialChain} ${standIn(rule, family, typeOf)}\n`);
        indexes.set(input.length, index);
      }
      input.push('COMMIT\n', ...removal(table));
    }
    const command = restoreCommand('iptables-restore', input, context.tools);
    const { result } = await runPatiently(command, context, signal);
    return attemptOf(result, (line) => indexes.get(line) ?? -1, rules.length);
  };
}

const declarations = [`:${trialTarget} - [0:0]\n`, `:${trialChain} - [0:0]\n`];

function removal(table: TableName): readonly string[] {
  return [`*${table}\n`, ...declarations, `-X ${trialTarget}\n`, `-X ${trialChain}\n`, 'COMMIT\n'];
}

/** Targets of the kernel are written in capitals without a dash; chains all have one. */
const jump = /(^| )(-[jg]) [A-Z]+-\S+/g;
const matchedSet = / --match-set (\S+) /g;

function standIn(rule: string, family: Family, typeOf: (set: SetName) => SetType | undefined): string {
  return rule.replaceAll(jump, `$1$2 ${trialTarget}`).replaceAll(matchedSet, (match, name: SetName) => {
    const type = typeOf(name);
    return type === undefined ? match : ` --match-set ${trialSet(family, type)} `;
  });
}

/** The sets that rules look into. */
export function setsOf(rules: readonly RuleElement[]): ReadonlySet<SetName> {
  const sets = rules.flatMap(({ rule }) => [...rule.matchAll(matchedSet)].map(([, name]) => name as SetName));
  return new Set(sets);
}
