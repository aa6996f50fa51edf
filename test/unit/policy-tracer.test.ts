import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEmptyPlan, type KernelSnapshot } from '../../pkg/kernel/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import { evaluate, type Packet, type PolicyWorld } from '../../pkg/policy/decide/index.ts';
import { PolicyNode, policyOptions } from '../support/policy-node.ts';
import { randomPolicyCase } from '../support/random-policy-world.ts';

const timeout = 60_000;

const guarded = [
  policyOptions('IPv4', { guard: { ranges: ['10.0.0.0/24'] } }),
  policyOptions('IPv6', { guard: { ranges: ['fd00::/64'] } }),
];

/** Some of the pods are on another node. */
const scattered = fc
  .tuple(
    randomPolicyCase,
    fc.array(fc.constantFrom('node-1', 'node-1', 'node-2'), { minLength: 6, maxLength: 6 }),
  )
  .map(([{ world, packets }, nodes]) => ({
    world: {
      ...world,
      pods: world.pods.map((pod, index) => ({ ...pod, nodeName: nodes[index] ?? 'node-1' })),
    },
    packets,
  }));

describe('the compiled rules of a random world', () => {
  test(
    'let through what the evaluator allows at this node’s ends, and deny the rest as they are told',
    () => {
      fc.assert(
        fc.property(scattered, fc.constantFrom('drop', 'reject'), ({ world, packets }, deny) => {
          const nodes = nodesOf(world, deny);
          for (const packet of packets) {
            const node = nodes[familyOf(packet.source) ?? 'IPv4'];
            const expected = isAllowedHere(world, packet) ? 'accept' : deny;
            expect(node.judge(packet).verdict, `for ${JSON.stringify(packet)}`).toBe(expected);
          }
        }),
        { numRuns: 2000 },
      );
    },
    timeout,
  );

  test(
    'are the same whichever way the world came about',
    () => {
      fc.assert(
        fc.property(fc.array(scattered, { minLength: 2, maxLength: 6 }), (cases) => {
          for (const options of guarded) {
            const walker = new PolicyNode(options);
            for (const { world } of cases) {
              walker.become(world);
              const fresh = new PolicyNode(options);
              fresh.become(world);
              expect(contentOf(walker.kernel())).toEqual(contentOf(fresh.kernel()));
            }
            walker.become({ policies: [], pods: [], namespaces: [] });
            expect(contentOf(walker.kernel())).toEqual(contentOf(new PolicyNode(options).kernel()));
          }
        }),
        { numRuns: 400 },
      );
    },
    timeout,
  );

  test(
    'are found in place by an agent that starts anew',
    () => {
      fc.assert(
        fc.property(scattered, ({ world }) => {
          for (const options of guarded) {
            const before = new PolicyNode(options);
            before.become(world);
            const after = new PolicyNode(options, before.kernel());
            expect(isEmptyPlan(after.become(world))).toBe(true);
          }
        }),
        { numRuns: 200 },
      );
    },
    timeout,
  );
});

function nodesOf(world: PolicyWorld, deny: 'drop' | 'reject'): Readonly<Record<Family, PolicyNode>> {
  const node = (family: Family): PolicyNode => {
    const result = new PolicyNode(policyOptions(family, { deny }));
    result.become(world);
    return result;
  };
  return { IPv4: node('IPv4'), IPv6: node('IPv6') };
}

/** Each half is judged on the node where its pod lives. */
function isAllowedHere(world: PolicyWorld, packet: Packet): boolean {
  const { ingress, egress } = evaluate(world, packet);
  const isHere = (ip: string): boolean =>
    world.pods.some((pod) => pod.nodeName === 'node-1' && pod.addresses.some((address) => address.ip === ip));
  const isDeniedHere =
    (egress.outcome === 'denied' && isHere(packet.source)) ||
    (ingress.outcome === 'denied' && isHere(packet.destination));
  return !isDeniedHere;
}

function contentOf({ tables, sets }: KernelSnapshot): unknown {
  return { filter: tables.get('filter'), sets: Array.from(sets, ([name, { members }]) => [name, members]) };
}
