import type { MemberChange, Plan, SetSpec } from '../kernel/index.ts';

const smallestHash = 1024;
const largestHash = 2 ** 20;

/** Lines that create the plan's sets and add its members. */
export function additions(plan: Plan): string[] {
  const sizes = new Map(plan.addMembers.map((change) => [change.set, change.members.length]));
  return [
    ...plan.createSets.map((spec) => createLine(spec, sizes.get(spec.name) ?? 0)),
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

/** Lines that destroy the plan's sets, which no rule may refer to any more. */
export function destructions(plan: Plan): string[] {
  return plan.destroySets.map((name) => `destroy ${name}\n`);
}

/** Everything explicit: a default that differs between two ipset versions would make it another set. */
function createLine(spec: SetSpec, members: number): string {
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
