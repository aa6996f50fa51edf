import type { MemberElement, SetType } from '../kernel/index.ts';
import { trialSet } from '../kernel/index.ts';
import { createLine, destroyLine } from './ipset-text.ts';
import { type RestoreContext, restoreCommand, runPatiently } from './patient-run.ts';
import type { TryElements } from './refused-among.ts';
import { attemptOf } from './restore-attempt.ts';
import type { Family } from './tools.ts';

/** A member, and the type of the set that it is for. */
export interface TriedMember {
  readonly element: MemberElement;
  readonly type: SetType;
}

const trialMaxElements = 1_048_576;

/** Tries members in sets of their own, which no rule looks into and which are gone afterwards; what a run that was killed left is taken over. */
export function tryMembers(
  types: readonly SetType[],
  context: RestoreContext,
  signal: AbortSignal | undefined,
): TryElements<TriedMember> {
  const { family } = context.tools;
  return async (members) => {
    const { makeSets, removeSets } = trialSets(family, types, members.length);
    const input = [
      ...makeSets,
      ...members.map(({ element, type }) => `add ${trialSet(family, type)} ${element.member}\n`),
      ...removeSets,
    ];
    const { result } = await runPatiently(restoreCommand('ipset', input, context.tools), context, signal);
    return attemptOf(result, (line) => line - 1 - makeSets.length, members.length);
  };
}

/** Makes or removes the sets that stand for those of such types. Whether that could be done. */
export async function restoreTrialSets(
  verb: 'make' | 'remove',
  types: readonly SetType[],
  context: RestoreContext,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (types.length === 0) return true;
  const { makeSets, removeSets } = trialSets(context.tools.family, types, 0);
  const command = restoreCommand('ipset', verb === 'make' ? makeSets : removeSets, context.tools);
  return (await runPatiently(command, context, signal)).result.exitCode === 0;
}

function trialSets(
  family: Family,
  types: readonly SetType[],
  members: number,
): { readonly makeSets: readonly string[]; readonly removeSets: readonly string[] } {
  const names = types.map((type) => trialSet(family, type));
  return {
    makeSets: types.flatMap((type) => {
      const name = trialSet(family, type);
      return [createLine({ name, type, family, maxElements: trialMaxElements }, members), `flush ${name}\n`];
    }),
    removeSets: names.map(destroyLine),
  };
}
