import type { ProxyLeftover } from '../../pkg/apply/index.ts';
import type { Plan, SetName } from '../../pkg/kernel/index.ts';
import { type ExplainedPlan, ownerOf, writtenDifference } from './explained-plan.ts';
import {
  chainComment,
  memberComment,
  originText,
  ruleComment,
  type Sign,
  setComment,
  unneededSetComment,
} from './origin-comments.ts';
import type { Paint } from './paint.ts';
import { printSummary } from './print-summary.ts';

/** Of longer lists people see only the beginning; the JSON output has all of it. */
const shown = { members: 10, rules: 12, deletedChains: 3 } as const;
/** With more lines behind it, the summary is no longer in sight. */
const onScreen = 50;

/** What belongs together: one Service's lines under its name, or those of no Service in particular. */
type Groups = ReadonlyMap<string, readonly string[]>;

/** The plans for people: what they amount to, then everything: `+` comes, `-` goes, `~` changes, and behind `#` where it comes from. */
export function printPlans(
  plans: readonly ExplainedPlan[],
  leftovers: readonly ProxyLeftover[],
  paint: Paint,
): string {
  const summary = printSummary(plans, leftovers, paint);
  const details = plans.flatMap((explained) => planLines(explained, paint));
  const hint = details.length > onScreen ? ['', 'The summary is at the top; --summary prints it alone.'] : [];
  return `${[...summary, ...details, ...hint].join('\n')}\n`;
}

function planLines(explained: ExplainedPlan, paint: Paint): readonly string[] {
  const { plan } = explained;
  const general = [...setLines(explained, paint), ...jumpLines(plan, paint)];
  const groups = serviceGroups(explained, paint);
  const unowned = groups.get('') ?? [];
  const services = [...groups].filter(([name]) => name !== '').toSorted(byName);
  if (general.length + groups.size === 0) return [];
  return [
    '',
    paint('bold', plan.family),
    ...[...general, ...unowned].map((line) => `  ${line}`),
    ...services.flatMap(([name, lines]) => [
      `  ${paint('bold', `Service ${name}`)}`,
      ...lines.map((line) => `    ${line}`),
    ]),
  ];
}

function* setLines(explained: ExplainedPlan, paint: Paint): Generator<string> {
  const { plan } = explained;
  for (const { name, type, maxElements, replaces } of plan.createSets) {
    const comment = commentText(setComment(explained, name), paint);
    if (replaces === undefined) yield paint('green', `+ set ${name} (${type})`) + comment;
    else {
      yield paint('yellow', `~ set ${name} (${type}, room for ${maxElements}): rebuilt`) +
        paint('dim', ` (${replaces.reason})`) +
        comment;
    }
  }
  const removed = membersBySet(plan.removeMembers);
  const added = membersBySet(plan.addMembers);
  for (const set of [...new Set([...removed.keys(), ...added.keys()])].toSorted()) {
    const origins = originText(explained.originsOf({ kind: 'set', set }));
    yield paint('yellow', `~ set ${set}`) + commentText(origins, paint);
    const commentOf = (member: string, sign: Sign): string => memberComment(explained, set, member, sign);
    yield* folded(removed.get(set) ?? [], '-', { limit: shown.members, what: 'members', commentOf }, paint);
    yield* folded(added.get(set) ?? [], '+', { limit: shown.members, what: 'members', commentOf }, paint);
  }
  for (const name of plan.destroySets)
    yield paint('red', `- set ${name}`) + commentText(unneededSetComment(name), paint);
}

function membersBySet(changes: Plan['addMembers']): ReadonlyMap<SetName, readonly string[]> {
  const sets = new Map<SetName, readonly string[]>();
  for (const { set, members } of changes) sets.set(set, [...(sets.get(set) ?? []), ...members]);
  return sets;
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
  for (const [owner, chains] of deleted) put(owner, deletedChainLines(explained, chains, paint));
  return groups;
}

function* chainLines(
  explained: ExplainedPlan,
  chain: Plan['writeChains'][number],
  paint: Paint,
): Generator<string> {
  const { table, name, isNew } = chain;
  const line = isNew
    ? paint('green', `+ chain ${table} ${name}`)
    : paint('yellow', `~ chain ${table} ${name}`);
  yield line + commentText(chainComment(explained, table, name), paint);
  const { removed, added } = writtenDifference(explained, chain);
  const commentOf = (rule: string, sign: Sign): string =>
    ruleComment(explained, { table, chain: name, rule }, sign);
  yield* folded(removed, '-', { limit: shown.rules, what: 'rules', commentOf }, paint);
  yield* folded(added, '+', { limit: shown.rules, what: 'rules', commentOf }, paint);
}

/** kube-proxy has a chain for each endpoint: many of them are one line. */
function* deletedChainLines(
  explained: ExplainedPlan,
  chains: Plan['deleteChains'],
  paint: Paint,
): Generator<string> {
  for (const { table, name, isHeld } of chains) {
    if (isHeld === true)
      yield paint('yellow', `~ chain ${table} ${name}: emptied`) +
        paint('dim', ' (rules of others lead there)') +
        commentText(chainComment(explained, table, name, '-'), paint);
  }
  const kinds = Map.groupBy(
    chains.filter(({ isHeld }) => isHeld !== true),
    ({ table, name }) => `${table} ${/^[A-Z]+-[A-Z]+-/.exec(name)?.[0] ?? name}`,
  );
  for (const [kind, alike] of kinds) {
    if (alike.length > shown.deletedChains) yield paint('red', `- ${alike.length} chains ${kind}…`);
    else {
      for (const { table, name } of alike)
        yield paint('red', `- chain ${table} ${name}`) +
          commentText(chainComment(explained, table, name, '-'), paint);
    }
  }
}

interface Folding {
  readonly limit: number;
  readonly what: string;
  readonly commentOf: (item: string, sign: Sign) => string;
}

/** Says where only those items come from that are shown. */
function* folded(
  items: readonly string[],
  sign: Sign,
  { limit, what, commentOf }: Folding,
  paint: Paint,
): Generator<string> {
  const style = sign === '+' ? 'green' : 'red';
  // One line instead of one left out saves nothing.
  const some = items.length <= limit + 1 ? items : items.slice(0, limit);
  for (const item of some)
    yield paint(style, `    ${sign} ${item}`) + commentText(commentOf(item, sign), paint);
  const more = items.length - some.length;
  if (more > 0) yield paint(style, `    ${sign} … and ${more} more ${what} (--output json shows all)`);
}

function commentText(comment: string, paint: Paint): string {
  return comment === '' ? '' : paint('dim', `  # ${comment}`);
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}
