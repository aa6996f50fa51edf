import type { MemberChange, Plan, SetCreation, SetReplacement, SetSpec } from '../kernel/index.ts';
import { isTemporarySet, temporarySet } from '../kernel/index.ts';
import type { RestorePiece } from './restore-piece.ts';

const smallestHash = 1024;
const largestHash = 2 ** 20;

/**
 * What makes room: temporary sets that were left behind go, and sets that won't do are replaced, each by itself. A piece may be run again until its
 * last line has succeeded: up to then it has changed nothing that a second run would stumble over.
 */
export function replacements(plan: Plan): readonly RestorePiece[] {
  return [
    {
      tool: 'ipset',
      about: 'temporary sets left behind',
      input: plan.destroySets.filter(isTemporarySet).map(destroyLine),
    },
    ...plan.createSets.flatMap((spec) =>
      spec.replaces === undefined ? [] : [replacement(plan, spec, spec.replaces)],
    ),
  ];
}

function replacement(plan: Plan, spec: SetCreation, { how, reason, members }: SetReplacement): RestorePiece {
  const size = members.length + sizesOf(plan)(spec.name);
  const about = `set ${spec.name}, which ${reason}, made anew as ${spec.type} with room for ${spec.maxElements}`;
  if (how === 'destroy')
    return { tool: 'ipset', about, input: [destroyLine(spec.name), createLine(spec, size)] };
  const temporary = { ...spec, name: temporarySet(spec) };
  const input = [
    createLine(temporary, size),
    // A run before this one may have filled it.
    `flush ${temporary.name}\n`,
    ...memberLines('add', { set: temporary.name, members }),
    `swap ${temporary.name} ${spec.name}\n`,
  ];
  return { tool: 'ipset', about, input };
}

/** Lines that create the plan's sets and add its members. */
export function additions(plan: Plan): string[] {
  const sizeOf = sizesOf(plan);
  return [
    ...plan.createSets
      .filter(({ replaces }) => replaces === undefined)
      .map((spec) => createLine(spec, sizeOf(spec.name))),
    ...plan.addMembers
      .filter((change) => change.last !== true)
      .flatMap((change) => memberLines('add', change)),
  ];
}

/** Lines for what comes after the chains: members that join last, then those that go. */
export function lateChanges(plan: Plan): string[] {
  return [
    ...plan.addMembers
      .filter((change) => change.last === true)
      .flatMap((change) => memberLines('add', change)),
    ...plan.removeMembers.flatMap((change) => memberLines('del', change)),
  ];
}

/** Lines that destroy the plan's sets, which no rule may refer to any more, and the too small ones that others have replaced. */
export function destructions(plan: Plan): string[] {
  const swapped = plan.createSets.filter(({ replaces }) => replaces?.how === 'swap');
  return [...plan.destroySets.filter((name) => !isTemporarySet(name)), ...swapped.map(temporarySet)].map(
    destroyLine,
  );
}

export function destroyLine(name: string): string {
  return `destroy ${name}\n`;
}

function sizesOf(plan: Plan): (set: string) => number {
  const sizes = new Map<string, number>(plan.addMembers.map((change) => [change.set, change.members.length]));
  return (set) => sizes.get(set) ?? 0;
}

/** Everything explicit: a default that differs between two ipset versions would make it another set. */
export function createLine(spec: SetSpec, members: number): string {
  const family = spec.family === 'IPv4' ? 'inet' : 'inet6';
  return `create ${spec.name} ${spec.type} family ${family} hashsize ${hashSize(members)} maxelem ${spec.maxElements}\n`;
}

/** A power of two of about one bucket a member: a set that has to grow while it is filled is copied each time. */
function hashSize(members: number): number {
  let size = smallestHash;
  while (size < members && size < largestHash) size *= 2;
  return size;
}

function memberLines(verb: 'add' | 'del', change: MemberChange): readonly string[] {
  return change.members.map((member) => `${verb} ${change.set} ${member}\n`);
}
