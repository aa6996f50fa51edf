import type { MemberElement, Plan, RuleElement, SetName, SetType } from '../kernel/index.ts';
import { isWeirError } from '../runtime/index.ts';
import type { RestoreContext } from './patient-run.ts';
import { type Refused, refusedAmong, type TryElements } from './refused-among.ts';
import { restoreTrialSets, type TriedMember, tryMembers } from './try-members.ts';
import { setsOf, tryRules } from './try-rules.ts';

/** What the kernel refuses for what it says, and in which words. */
export interface RefusedElement {
  readonly element: MemberElement | RuleElement;
  /** The program's own words; empty where it has none, as iptables-legacy-restore for all that only the kernel refuses. */
  readonly why: string;
}

/** Of which type a set of Weir's is; `undefined`: it is none of them. */
export type SetTypes = (set: SetName) => SetType | undefined;

/** One bad element is enough to go on with; a search for more must not hold up everything else for long. */
const longestSearchMs = 10_000;

/** The members and rules of a plan that the kernel refuses: see `KernelWriter.findRefused`. */
export async function findRefused(
  plan: Plan,
  error: unknown,
  typeOf: SetTypes,
  context: RestoreContext,
  signal: AbortSignal | undefined,
): Promise<readonly RefusedElement[]> {
  if (!isWeirError(error)) return [];
  if (error.code === 'WEIR_IPSET_FAILED') return findRefusedMembers(plan, typeOf, context, signal);
  if (error.code === 'WEIR_RESTORE_FAILED') return findRefusedRules(plan, typeOf, context, signal);
  return [];
}

async function findRefusedMembers(
  plan: Plan,
  typeOf: SetTypes,
  context: RestoreContext,
  signal: AbortSignal | undefined,
): Promise<readonly RefusedElement[]> {
  const members = plan.addMembers.flatMap(({ set, members }) => {
    const type = typeOf(set);
    return type === undefined
      ? []
      : members.map((member): TriedMember => ({ element: { kind: 'member', set, member }, type }));
  });
  const attempt = tryMembers([...new Set(members.map(({ type }) => type))], context, signal);
  const refused = await search(members, attempt, context);
  return refused.map(({ element, why }) => ({ element: element.element, why }));
}

async function findRefusedRules(
  plan: Plan,
  typeOf: SetTypes,
  context: RestoreContext,
  signal: AbortSignal | undefined,
): Promise<readonly RefusedElement[]> {
  const rules = plan.writeChains.flatMap(({ table, name, rules }) =>
    rules === ''
      ? []
      : rules.split('\n').map((rule): RuleElement => ({ kind: 'rule', table, chain: name, rule })),
  );
  const types = [...new Set([...setsOf(rules)].map(typeOf).filter((type) => type !== undefined))];
  if (!(await restoreTrialSets('make', types, context, signal))) return [];
  try {
    const tables = [...new Set(rules.map(({ table }) => table))];
    return await search(rules, tryRules(tables, typeOf, context, signal), context);
  } finally {
    await restoreTrialSets('remove', types, context, signal);
  }
}

/** A program that fails whatever it is given says nothing of the elements. To try none of them removes what the attempts left, too. */
async function search<Element>(
  elements: readonly Element[],
  attempt: TryElements<Element>,
  { clock }: RestoreContext,
): Promise<readonly Refused<Element>[]> {
  if (elements.length === 0) return [];
  const startedAt = clock.now();
  const isLate = (): boolean => clock.now() - startedAt > longestSearchMs;
  const works = async (): Promise<boolean> => (await attempt([])).outcome === 'accepted';
  if (!(await works())) return [];
  const refused = await refusedAmong(elements, attempt, isLate);
  return (await works()) ? (refused ?? []) : [];
}
