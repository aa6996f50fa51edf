import { styleText } from 'node:util';
import type { ChainName, Plan, RuleState, TableName } from '../../pkg/kernel/index.ts';

/** A plan with all that is needed to explain it. */
export interface ExplainedPlan {
  readonly plan: Plan;
  readonly state: RuleState;
  /** For which service port each per-service chain is. */
  readonly owners: ReadonlyMap<string, string>;
}

export type Paint = (style: 'green' | 'red' | 'yellow' | 'bold' | 'dim', text: string) => string;

/** Colours for a terminal, plain text for everything else. */
export function painter(isTerminal: boolean): Paint {
  return (style, text) => (isTerminal ? styleText(style, text, { validateStream: false }) : text);
}

/** How many objects of the kernel the plan touches. */
export function countChanges({ plan }: ExplainedPlan): number {
  const members = [...plan.addMembers, ...plan.removeMembers].reduce(
    (sum, change) => sum + change.members.length,
    0,
  );
  return (
    plan.createSets.length +
    plan.destroySets.length +
    plan.writeChains.length +
    plan.deleteChains.length +
    plan.jumps.length +
    members
  );
}

/** The plan for people: `+` comes, `-` goes, `~` changes; a summary at the end. */
export function printPlan(explained: ExplainedPlan, paint: Paint): string {
  const { plan } = explained;
  const lines = [...setLines(plan, paint), ...chainLines(explained, paint), ...jumpLines(plan, paint)];
  const title = paint('bold', plan.family);
  return lines.length === 0
    ? `${title}: no change`
    : [title, ...lines.map((line) => `  ${line}`), '', summary(explained)].join('\n');
}

function summary(explained: ExplainedPlan): string {
  const { plan } = explained;
  const added = plan.writeChains.filter((chain) => chain.isNew).length;
  const parts = [
    [added, 'chains to add'],
    [plan.writeChains.length - added, 'to change'],
    [plan.deleteChains.length, 'to delete'],
    [plan.jumps.filter((jump) => jump.kind === 'insert').length, 'jumps to insert'],
    [plan.addMembers.reduce((sum, change) => sum + change.members.length, 0), 'set members to add'],
    [plan.removeMembers.reduce((sum, change) => sum + change.members.length, 0), 'to remove'],
  ] as const;
  return `${plan.family}: ${parts.map(([count, what]) => `${count} ${what}`).join(', ')}.`;
}

function* setLines(plan: Plan, paint: Paint): Generator<string> {
  for (const spec of plan.createSets) yield paint('green', `+ set ${spec.name} (${spec.type})`);
  const sets = new Set([...plan.addMembers, ...plan.removeMembers].map((change) => change.set));
  for (const set of [...sets].toSorted()) {
    yield `~ set ${set}`;
    for (const change of plan.removeMembers.filter((one) => one.set === set)) {
      for (const member of change.members) yield paint('red', `    - ${member}`);
    }
    for (const change of plan.addMembers.filter((one) => one.set === set)) {
      for (const member of change.members) yield paint('green', `    + ${member}`);
    }
  }
  for (const name of plan.destroySets) yield paint('red', `- set ${name}`);
}

function* chainLines({ plan, state, owners }: ExplainedPlan, paint: Paint): Generator<string> {
  const whose = (name: ChainName): string => {
    const owner = owners.get(name);
    return owner === undefined ? '' : paint('dim', ` (${owner})`);
  };
  for (const { table, name, rules, isNew } of plan.writeChains) {
    const title = `${isNew ? '+' : '~'} chain ${table} ${name}`;
    yield (isNew ? paint('green', title) : paint('yellow', title)) + whose(name);
    for (const { sign, rule } of ruleDifference(appliedRules(state, table, name), splitRules(rules))) {
      yield paint(sign === '+' ? 'green' : 'red', `    ${sign} ${rule}`);
    }
  }
  for (const { table, name } of plan.deleteChains) yield paint('red', `- chain ${table} ${name}`);
}

function* jumpLines(plan: Plan, paint: Paint): Generator<string> {
  for (const { kind, table, builtin, rule, reason } of plan.jumps) {
    const line = `${kind === 'insert' ? '+' : '-'} jump ${table} ${builtin}: ${rule}`;
    yield paint(kind === 'insert' ? 'green' : 'red', line) + paint('dim', ` (was ${reason})`);
  }
}

/** Rules that go, then rules that come; a rule that only moved shows as both. */
export function ruleDifference(
  before: readonly string[],
  after: readonly string[],
): readonly { readonly sign: '+' | '-'; readonly rule: string }[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) {
    end += 1;
  }
  return [
    ...before.slice(start, before.length - end).map((rule) => ({ sign: '-', rule }) as const),
    ...after.slice(start, after.length - end).map((rule) => ({ sign: '+', rule }) as const),
  ];
}

/** The plan for programs. */
export function planAsJson({ plan, state, owners }: ExplainedPlan): Readonly<Record<string, unknown>> {
  return {
    family: plan.family,
    createSets: plan.createSets,
    addMembers: plan.addMembers,
    writeChains: plan.writeChains.map(({ table, name, rules, isNew }) => ({
      table,
      name,
      owner: owners.get(name) ?? null,
      isNew,
      before: appliedRules(state, table, name),
      after: splitRules(rules),
    })),
    jumps: plan.jumps,
    removeMembers: plan.removeMembers,
    deleteChains: plan.deleteChains,
    destroySets: plan.destroySets,
  };
}

function appliedRules(state: RuleState, table: TableName, name: ChainName): readonly string[] {
  return splitRules(state.appliedChain(table, name) ?? '');
}

function splitRules(rules: string): readonly string[] {
  return rules === '' ? [] : rules.split('\n');
}
