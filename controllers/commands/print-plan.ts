import type { ProxyLeftover } from '../../pkg/apply/index.ts';
import type { Plan } from '../../pkg/kernel/index.ts';
import { appliedRules, countMembers, type ExplainedPlan, ownerOf, splitRules } from './explained-plan.ts';
import { leftoverReport } from './leftover-report.ts';
import type { Paint } from './paint.ts';
import { takeOverReport } from './take-over-report.ts';

/** Of longer lists people see only the beginning; the JSON output has all of it. */
const shown = { members: 10, rules: 12, deletedChains: 3 } as const;

/** What belongs together: one Service's lines under its name, or those of no Service in particular. */
type Groups = ReadonlyMap<string, readonly string[]>;

/** The plans for people: `+` comes, `-` goes, `~` changes; what it amounts to at the end, where a terminal shows it. */
export function printPlans(
  plans: readonly ExplainedPlan[],
  leftovers: readonly ProxyLeftover[],
  paint: Paint,
): string {
  const parts = plans.flatMap((explained) => planLines(explained, paint));
  const summary = plans.flatMap((explained) => summaryLines(explained, paint));
  return `${[...parts, ...summary, ...leftoverReport(leftovers)].join('\n')}\n`;
}

function planLines(explained: ExplainedPlan, paint: Paint): readonly string[] {
  const { plan } = explained;
  const general = [...setLines(plan, paint), ...jumpLines(plan, paint)];
  const groups = serviceGroups(explained, paint);
  const unowned = groups.get('') ?? [];
  const services = [...groups].filter(([name]) => name !== '').toSorted(byName);
  if (general.length + groups.size === 0) return [];
  return [
    paint('bold', plan.family),
    ...[...general, ...unowned].map((line) => `  ${line}`),
    ...services.flatMap(([name, lines]) => [
      `  ${paint('bold', `Service ${name}`)}`,
      ...lines.map((line) => `    ${line}`),
    ]),
    '',
  ];
}

function summaryLines(explained: ExplainedPlan, paint: Paint): readonly string[] {
  const { plan } = explained;
  const added = plan.writeChains.filter((chain) => chain.isNew).length;
  const madeAnew = plan.createSets.filter(({ replaces }) => replaces !== undefined).length;
  const counts = [
    [plan.createSets.length - madeAnew, 'set', 'to create'],
    [madeAnew, 'set', 'to make anew'],
    [plan.destroySets.length, 'set', 'to destroy'],
    [countMembers(plan.addMembers), 'set member', 'to add'],
    [countMembers(plan.removeMembers), 'set member', 'to remove'],
    [added, 'chain', 'to add'],
    [plan.writeChains.length - added, 'chain', 'to change'],
    [plan.deleteChains.filter((chain) => chain.isHeld !== true).length, 'chain', 'to delete'],
    [plan.deleteChains.filter((chain) => chain.isHeld === true).length, 'chain', 'to empty'],
    [plan.jumps.filter((jump) => jump.kind === 'insert').length, 'jump', 'to insert'],
    [plan.jumps.filter((jump) => jump.kind === 'delete').length, 'jump', 'to delete'],
  ] as const;
  const words = counts
    .filter(([count]) => count > 0)
    .map(([count, what, change]) => `${count} ${what}${count === 1 ? '' : 's'} ${change}`);
  if (words.length === 0) return [`${paint('bold', plan.family)}: no change`];
  return [
    `${paint('bold', plan.family)}: ${words.join(', ')}`,
    ...takeOverReport(explained).map((line) => `  ${line}`),
  ];
}

function* setLines(plan: Plan, paint: Paint): Generator<string> {
  for (const { name, type, maxElements, replaces } of plan.createSets) {
    if (replaces === undefined) yield paint('green', `+ set ${name} (${type})`);
    else {
      yield paint('yellow', `~ set ${name} (${type}, room for ${maxElements}): made anew`) +
        paint('dim', ` (${replaces.reason})`);
    }
  }
  const sets = new Set([...plan.addMembers, ...plan.removeMembers].map((change) => change.set));
  for (const set of [...sets].toSorted()) {
    yield paint('yellow', `~ set ${set}`);
    const of = (changes: Plan['addMembers']): readonly string[] =>
      changes.flatMap((change) => (change.set === set ? change.members : []));
    yield* folded(of(plan.removeMembers), '-', shown.members, 'members', paint);
    yield* folded(of(plan.addMembers), '+', shown.members, 'members', paint);
  }
  for (const name of plan.destroySets) yield paint('red', `- set ${name}`);
}

function* jumpLines(plan: Plan, paint: Paint): Generator<string> {
  for (const { kind, table, builtin, rule, reason } of plan.jumps) {
    const line = `${kind === 'insert' ? '+' : '-'} jump ${table} ${builtin}: ${rule}`;
    yield paint(kind === 'insert' ? 'green' : 'red', line) + paint('dim', ` (${reason})`);
  }
}

function serviceGroups(explained: ExplainedPlan, paint: Paint): Groups {
  const { plan } = explained;
  const groups = new Map<string, string[]>();
  const put = (owner: string | undefined, lines: Iterable<string>): void => {
    const group = groups.get(owner ?? '') ?? [];
    groups.set(owner ?? '', group);
    group.push(...lines);
  };
  for (const chain of plan.writeChains)
    put(ownerOf(explained, chain.table, chain.name), chainLines(explained, chain, paint));
  const deleted = Map.groupBy(
    plan.deleteChains,
    (chain) => ownerOf(explained, chain.table, chain.name) ?? '',
  );
  for (const [owner, chains] of deleted) put(owner, deletedChainLines(chains, paint));
  return groups;
}

function* chainLines(
  explained: ExplainedPlan,
  { table, name, rules, isNew }: Plan['writeChains'][number],
  paint: Paint,
): Generator<string> {
  yield isNew ? paint('green', `+ chain ${table} ${name}`) : paint('yellow', `~ chain ${table} ${name}`);
  const difference = ruleDifference(appliedRules(explained, table, name), splitRules(rules));
  yield* folded(difference.removed, '-', shown.rules, 'rules', paint);
  yield* folded(difference.added, '+', shown.rules, 'rules', paint);
}

/** kube-proxy has a chain for each endpoint: many of them are one line. */
function* deletedChainLines(chains: Plan['deleteChains'], paint: Paint): Generator<string> {
  for (const { table, name, isHeld } of chains) {
    if (isHeld === true)
      yield paint('yellow', `~ chain ${table} ${name}: emptied`) +
        paint('dim', ' (rules of others lead there)');
  }
  const kinds = Map.groupBy(
    chains.filter(({ isHeld }) => isHeld !== true),
    ({ table, name }) => `${table} ${/^[A-Z]+-[A-Z]+-/.exec(name)?.[0] ?? name}`,
  );
  for (const [kind, alike] of kinds) {
    if (alike.length > shown.deletedChains) yield paint('red', `- ${alike.length} chains ${kind}…`);
    else for (const { table, name } of alike) yield paint('red', `- chain ${table} ${name}`);
  }
}

function* folded(
  items: readonly string[],
  sign: '+' | '-',
  limit: number,
  what: string,
  paint: Paint,
): Generator<string> {
  const style = sign === '+' ? 'green' : 'red';
  // One line instead of one left out saves nothing.
  const some = items.length <= limit + 1 ? items : items.slice(0, limit);
  for (const item of some) yield paint(style, `    ${sign} ${item}`);
  const more = items.length - some.length;
  if (more > 0) yield paint(style, `    ${sign} … and ${more} more ${what} (--output json shows all)`);
}

/** What goes and what comes between the rules that both begin with and those that both end with. */
export function ruleDifference(
  before: readonly string[],
  after: readonly string[],
): { readonly removed: readonly string[]; readonly added: readonly string[] } {
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
  return { removed: before.slice(start, before.length - end), added: after.slice(start, after.length - end) };
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}
