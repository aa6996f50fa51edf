import type { Plan, SetName } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Part } from './part-ownership.ts';

/** How many objects were looked at, by kind. */
export type TouchedObjects = Readonly<Record<string, number>>;

export interface WriteCircumstances {
  readonly part: Part;
  /** Nothing had changed but the kernel itself. */
  readonly isRepair: boolean;
  /** By this part. */
  readonly touched: TouchedObjects;
  readonly totalMs: number;
  /** Sets that should have gone and stay. Defaults to none. */
  readonly heldSets?: readonly SetName[];
}

/** What a line names, before it counts. */
const namedChanges = 6;

/** Tells of what one part wrote in one family; what somebody else had changed by name. */
export function logWrite(
  log: Pick<Logger, 'info' | 'warn'>,
  plan: Plan,
  { part, isRepair, touched, totalMs, heldSets = [] }: WriteCircumstances,
): void {
  const count = (changes: readonly { readonly members: readonly string[] }[]): number =>
    changes.reduce((sum, change) => sum + change.members.length, 0);
  for (const { reason, table, builtin, kind } of plan.jumps) {
    if (kind === 'insert' && reason !== 'missing')
      log.warn(`${plan.family} jump repaired in ${table} ${builtin}: it was ${reason}`);
  }
  for (const { name, replaces } of plan.createSets) {
    if (replaces !== undefined) log.warn(`${plan.family} set ${name} ${replaces.reason}: made anew`);
  }
  for (const name of heldSets) {
    log.warn(
      `${plan.family} set ${name} is not needed any more, but can not be removed: a rule beyond the filter and nat tables, or a set of sets, refers to it; it stays, and weir cleanup will name what holds it`,
    );
  }
  // By name in the line itself: a line is swallowed when one with the same words came a moment ago.
  if (isRepair)
    log.warn(`${plan.family} rules were changed by somebody else: repaired ${inShort(changesOf(plan))}`);
  log.info(`${plan.family} ${nameOfParts([part])} rules written`, {
    ...touched,
    chains: plan.writeChains.length,
    chainsDeleted: plan.deleteChains.filter(({ isHeld }) => isHeld !== true).length,
    members: count(plan.addMembers),
    membersRemoved: count(plan.removeMembers),
    milliseconds: Math.round(totalMs * 10) / 10,
  });
}

/** For the name of their rules: `service`, `policy and service`. */
export function nameOfParts(parts: readonly Part[]): string {
  return parts.map((part) => (part === 'services' ? 'service' : 'policy')).join(' and ');
}

/** Everything that a plan touches, each once. */
function changesOf(plan: Plan): readonly string[] {
  const sets = [
    ...plan.createSets.map(({ name }) => name),
    ...plan.addMembers.map(({ set }) => set),
    ...plan.removeMembers.map(({ set }) => set),
    ...plan.destroySets,
  ];
  const names = [
    ...plan.jumps.map(({ table, builtin }) => `${table} ${builtin}`),
    ...[...plan.writeChains, ...plan.deleteChains].map(({ table, name }) => `${table} ${name}`),
    ...sets.map((name) => `set ${name}`),
  ];
  return [...new Set(names)];
}

function inShort(names: readonly string[]): string {
  const hidden = names.length - namedChanges;
  const shown = names.slice(0, namedChanges).join(', ');
  return hidden > 0 ? `${shown} and ${hidden} more` : shown;
}
