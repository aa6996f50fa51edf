import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NetworkPolicy, Pod } from '../../pkg/api/index.ts';
import { type KernelSnapshot, PacketTracer, type Plan } from '../../pkg/kernel/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import { evaluate, type Packet, type PolicyWorld } from '../../pkg/policy/decide/index.ts';
import { closedAddresses } from '../support/closed-addresses.ts';
import { FakeKernel } from '../support/fake-kernel.ts';
import { firstPacket, PolicyNode, policyOptions } from '../support/policy-node.ts';
import { localNode, randomPlacedCase, randomPolicyCase } from '../support/random-policy-world.ts';

const families: readonly Family[] = ['IPv4', 'IPv6'];
const timeout = 60_000;

interface Change {
  readonly kind: 'policies' | 'pods' | 'namespaces';
  readonly before: PolicyWorld;
  readonly after: PolicyWorld;
  readonly packets: readonly Packet[];
}

/** A world, the same with one object changed, come or gone, and packets. */
const oneChange: fc.Arbitrary<Change> = fc
  .tuple(
    randomPolicyCase,
    randomPolicyCase,
    fc.constantFrom('policies' as const, 'pods' as const, 'namespaces' as const),
    fc.nat(),
  )
  .map(([{ world, packets }, other, kind, choice]) => ({
    kind,
    before: world,
    after: { ...world, [kind]: withOneOf<Named>(world[kind], other.world[kind], choice) },
    packets,
  }));

/** A policy that allows something else than before, to the same pods. */
const otherRules: fc.Arbitrary<Change> = fc
  .tuple(randomPolicyCase, randomPolicyCase, fc.nat())
  .map(([{ world, packets }, other, choice]) => {
    const policies = world.policies.map((policy, index) => {
      const donor = other.world.policies[0];
      if (index !== choice % world.policies.length || donor === undefined) return policy;
      return { ...policy, ingress: donor.ingress, egress: donor.egress };
    });
    return { kind: 'policies', before: world, after: { ...world, policies }, packets };
  });

interface PodChange {
  readonly before: PolicyWorld;
  readonly after: PolicyWorld;
  /** The pods that are not the same. */
  readonly changed: readonly Pod[];
  readonly packets: readonly Packet[];
  readonly ranges: readonly string[];
  readonly unowned: { readonly before: readonly string[]; readonly after: readonly string[] };
}

/** A world of pods on several nodes, the same with one pod changed, come or gone, and with other addresses given to unknown pods. */
const onePod: fc.Arbitrary<PodChange> = fc
  .tuple(randomPlacedCase, randomPlacedCase, fc.nat())
  .map(([{ world, packets, ranges, unowned }, other, choice]) => {
    const after = { ...world, pods: withOneOf(world.pods, other.world.pods, choice) };
    const changed = [
      ...world.pods.filter((pod) => !after.pods.includes(pod)),
      ...after.pods.filter((pod) => !world.pods.includes(pod)),
    ];
    const given = { before: unowned, after: other.unowned };
    return { before: world, after, changed, packets, ranges, unowned: given };
  });

/** Selects no pod of the random worlds. */
function idlePolicy(policy: NetworkPolicy): NetworkPolicy {
  return { ...policy, podSelector: { matchLabels: { app: 'nobody' }, matchExpressions: [] } };
}

describe('on the way from one state to the next', () => {
  test(
    'nothing passes that neither of them lets through',
    () => {
      fc.assert(
        fc.property(oneChange, (change) =>
          expectThroughout(
            change,
            change.packets.filter((packet) => isDeniedThroughout(change, packet)),
            false,
          ),
        ),
        { numRuns: 1000 },
      );
    },
    timeout,
  );

  test(
    'a policy that says something else never stops what it allows before and after',
    () => {
      fc.assert(
        fc.property(otherRules, (change) => {
          const { before, after, packets } = change;
          const allowed = packets.filter(
            (packet) => evaluate(before, packet).allowed && evaluate(after, packet).allowed,
          );
          expectThroughout(change, allowed, true);
        }),
        { numRuns: 500 },
      );
    },
    timeout,
  );
});

describe('on the way from one state of unknown addresses to the next', () => {
  test(
    'what is closed in both is closed throughout, and nobody who is known in both is cut off',
    () => {
      const met = { closed: 0, open: 0, otherGuard: 0 };
      fc.assert(
        fc.property(onePod, fc.constantFrom(...families), (change, family) => {
          const { closed, open } = packetsOf(change, family);
          const { steps, hasOtherGuard, kernel } = guardSteps(change, family);
          met.closed += closed.length;
          met.open += open.length;
          if (hasOtherGuard) met.otherGuard += 1;
          for (const step of steps) {
            kernel.apply(step);
            const tracer = new PacketTracer({ family, kernel: kernel.snapshot(), localAddresses: [] });
            const passing = (packets: readonly Packet[]): readonly Packet[] =>
              packets.filter((packet) => tracer.trace(firstPacket(packet, family))[0]?.verdict === 'accept');
            expect([step, passing(closed)]).toEqual([step, []]);
            expect([step, passing(open)]).toEqual([step, open]);
          }
        }),
        { numRuns: 500 },
      );
      expect(Math.min(met.closed, met.open, met.otherGuard)).toBeGreaterThan(20);
    },
    timeout,
  );
});

/** Those with an end that is closed before and after, and those whose ends are neither, and have not changed. */
function packetsOf(
  { before, after, changed, packets, ranges, unowned }: PodChange,
  family: Family,
): { readonly closed: readonly Packet[]; readonly open: readonly Packet[] } {
  const old = closedAddresses(before, { nodeName: localNode, ranges, unowned: unowned.before });
  const next = closedAddresses(after, { nodeName: localNode, ranges, unowned: unowned.after });
  const isChanged = (ip: string): boolean =>
    changed.some(({ addresses }) => addresses.some((address) => address.ip === ip));
  const ours = packets.filter((packet) => familyOf(packet.source) === family);
  const ends = ({ source, destination }: Packet): readonly string[] => [source, destination];
  return {
    closed: ours.filter((packet) => ends(packet).some((ip) => old(ip) && next(ip))),
    open: ours.filter((packet) => ends(packet).every((ip) => !old(ip) && !next(ip) && !isChanged(ip))),
  };
}

/** The way from one to the other, with policies that isolate nobody: what is stopped is stopped by the guard. */
function guardSteps(
  { before, after, ranges, unowned }: PodChange,
  family: Family,
): { readonly steps: readonly Plan[]; readonly hasOtherGuard: boolean; readonly kernel: FakeKernel } {
  const idle = (world: PolicyWorld): PolicyWorld => ({
    ...world,
    policies: world.policies.map(idlePolicy),
  });
  const guard = { ranges: ranges.filter((range) => familyOf(range) === family) };
  const node = new PolicyNode(policyOptions(family, { guard }));
  node.become(idle(before), unowned.before);
  const isFollowed = node.rules.rangeMismatch() === undefined;
  const kernel = new FakeKernel();
  kernel.load(node.kernel());
  const steps = stepsOf(node.become(idle(after), unowned.after));
  return { steps, hasOtherGuard: isFollowed !== (node.rules.rangeMismatch() === undefined), kernel };
}

test(
  'nothing passes, and nothing is stopped, while sets that are too small are made anew',
  () => {
    fc.assert(
      fc.property(oneChange, ({ before, packets }) => {
        for (const family of families) {
          const node = new PolicyNode(policyOptions(family));
          node.become(before);
          const small = withSmallSets(node.kernel());
          const successor = new PolicyNode(policyOptions(family), small);
          const kernel = new FakeKernel();
          kernel.load(small);
          const plan = successor.become(before);
          expect(plan.createSets).toHaveLength(small.sets.size);
          expectJudged(kernel, plan, family, before, packets);
          const sizes = Array.from(successor.kernel().sets.values(), ({ spec }) => spec.maxElements);
          expect(sizes.every((size) => size > 1_000_000)).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  },
  timeout,
);

/** Every packet ends as the world wants it, before and after every step. */
function expectJudged(
  kernel: FakeKernel,
  plan: Plan,
  family: Family,
  world: PolicyWorld,
  packets: readonly Packet[],
): void {
  const ours = packets.filter((packet) => familyOf(packet.source) === family);
  const look = (): void => {
    const tracer = new PacketTracer({ family, kernel: kernel.snapshot(), localAddresses: [] });
    for (const packet of ours) {
      const [outcome] = tracer.trace(firstPacket(packet, family));
      expect([packet, outcome?.verdict === 'accept']).toEqual([packet, evaluate(world, packet).allowed]);
    }
  };
  look();
  kernel.apply(plan, look);
}

/** As somebody may have made them: with room for what is in them, and no more. */
function withSmallSets(kernel: KernelSnapshot): KernelSnapshot {
  const sets = Array.from(
    kernel.sets,
    ([name, { spec, members }]) => [name, { spec: { ...spec, maxElements: members.size }, members }] as const,
  );
  return { ...kernel, sets: new Map(sets) };
}

/**
 * What policies say changes at once. Pods change one set after the other: what one end denies before and after is denied
 * throughout, and so is what a pod denies by its new policies. Not where one end stops denying by its rules in the
 * same moment as the other begins to by its members, which are the last to go.
 */
function isDeniedThroughout({ kind, before, after }: Change, packet: Packet): boolean {
  const [old, next] = [evaluate(before, packet), evaluate(after, packet)];
  if (old.allowed || next.allowed) return false;
  if (kind === 'policies') return true;
  // A pod that is both ends changes at both.
  if (packet.source === packet.destination) return false;
  const halves = ['egress', 'ingress'] as const;
  const denies = (half: (typeof halves)[number]): boolean => next[half].outcome === 'denied';
  if (halves.some((half) => old[half].outcome === 'denied' && denies(half))) return true;
  if (kind === 'namespaces') return false;
  const changed = after.pods.filter((pod) => !before.pods.includes(pod)).flatMap((pod) => pod.addresses);
  const isChanged = (ip: string): boolean => changed.some((address) => address.ip === ip);
  return (
    (isChanged(packet.source) && denies('egress')) || (isChanged(packet.destination) && denies('ingress'))
  );
}

/** These packets are judged so at every step between the two worlds. */
function expectThroughout({ before, after }: Change, packets: readonly Packet[], allowed: boolean): void {
  for (const family of families) {
    const ours = packets.filter((packet) => familyOf(packet.source) === family);
    const node = new PolicyNode(policyOptions(family));
    node.become(before);
    const kernel = new FakeKernel();
    kernel.load(node.kernel());
    for (const step of stepsOf(node.become(after))) {
      kernel.apply(step);
      const tracer = new PacketTracer({ family, kernel: kernel.snapshot(), localAddresses: [] });
      for (const packet of ours) {
        const [outcome] = tracer.trace(firstPacket(packet, family));

        expect(outcome?.verdict === 'accept', `${JSON.stringify(packet)} after ${JSON.stringify(step)}`).toBe(
          allowed,
        );
      }
    }
  }
}

/**
 * A plan as it is executed: sets and members one after the other, all rules of the filter table at once, then late members one
 * after the other and those that go.
 */
function stepsOf(plan: Plan): readonly Plan[] {
  const none: Plan = {
    family: plan.family,
    createSets: [],
    addMembers: [],
    earlyRules: [],
    writeChains: [],
    jumps: [],
    removeMembers: [],
    deleteChains: [],
    destroySets: [],
  };
  const { createSets, addMembers, writeChains, jumps, deleteChains, removeMembers, destroySets } = plan;
  const adding = (isLate: boolean): readonly Plan[] =>
    addMembers
      .filter(({ last = false }) => last === isLate)
      .map((change) => ({ ...none, addMembers: [change] }));
  return [
    { ...none, createSets },
    ...adding(false),
    { ...none, writeChains, jumps, deleteChains },
    ...adding(true),
    { ...none, removeMembers },
    { ...none, destroySets },
  ];
}

interface Named {
  readonly namespace: string;
  readonly name: string;
}

/** One of the objects leaves, comes, or is another of the same name. */
function withOneOf<T extends Named>(ours: readonly T[], theirs: readonly T[], choice: number): readonly T[] {
  const donor = theirs[choice % Math.max(1, theirs.length)];
  if (donor === undefined || choice % 5 === 0)
    return ours.filter((_, index) => index !== choice % ours.length);
  const isSame = (one: T): boolean => one.name === donor.name;
  const replaced = ours.find(isSame);
  const others = ours.filter((one) => !isSame(one));
  return [...others, replaced === undefined ? donor : { ...donor, namespace: replaced.namespace }];
}
