import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEmptyPlan, type KernelSnapshot } from '../../pkg/kernel/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import type { PolicyWorld } from '../../pkg/policy/decide/index.ts';
import type { PolicyRulesOptions } from '../../pkg/policy/iptables/index.ts';
import { isAllowedHere } from '../support/allowed-here.ts';
import { closedAddresses } from '../support/closed-addresses.ts';
import { PolicyNode, policyOptions } from '../support/policy-node.ts';
import { localNode, randomPlacedCase, randomPolicyCase } from '../support/random-policy-world.ts';

const timeout = 60_000;

const guarded = (ranges: readonly string[]): readonly PolicyRulesOptions[] =>
  (['IPv4', 'IPv6'] as const).map((family) =>
    policyOptions(family, { guard: { ranges: ranges.filter((range) => familyOf(range) === family) } }),
  );

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
            const expected = isAllowedHere(world, packet, localNode) ? 'accept' : deny;
            expect(node.judge(packet).verdict, `for ${JSON.stringify(packet)}`).toBe(expected);
          }
        }),
        { numRuns: 2000 },
      );
    },
    timeout,
  );

  test(
    'close what no known pod owns: the ranges where addresses follow them, single addresses everywhere',
    () => {
      const met = { open: 0, closed: 0, inUnfollowedRange: 0 };
      fc.assert(
        fc.property(randomPlacedCase, ({ world, packets, ranges, unowned }) => {
          const nodes = guarded(ranges).map((options) => {
            const node = new PolicyNode(options);
            node.become(world, unowned);
            return [options.family, node] as const;
          });
          const isClosed = closedAddresses(world, { nodeName: localNode, ranges, unowned });
          for (const packet of packets) {
            const isDropped = [packet.source, packet.destination].some(isClosed);
            const isAllowed = !isDropped && isAllowedHere(world, packet, localNode);
            const verdict = new Map(nodes).get(familyOf(packet.source) ?? 'IPv4')?.judge(packet).verdict;
            expect(verdict, `for ${JSON.stringify(packet)}`).toBe(isAllowed ? 'accept' : 'drop');
            if (isDropped) met.closed += 1;
            else met.open += 1;
          }
          for (const [family, node] of nodes) {
            const mismatch = node.rules.rangeMismatch();
            if (mismatch !== undefined) met.inUnfollowedRange += 1;
            const ends = packets.flatMap(({ source, destination }) => [source, destination]);
            for (const ip of ends.filter((ip) => familyOf(ip) === family))
              expect(node.rules.isClosed(ip)).toBe(isClosed(ip));
          }
        }),
        { numRuns: 500 },
      );
      expect(Math.min(met.open, met.closed, met.inUnfollowedRange)).toBeGreaterThan(200);
    },
    timeout,
  );

  test(
    'are the same whichever way the world came about',
    () => {
      fc.assert(
        fc.property(fc.array(randomPlacedCase, { minLength: 2, maxLength: 6 }), (cases) => {
          for (const first of guarded(cases[0]?.ranges ?? [])) {
            let options = first;
            const walker = new PolicyNode(first);
            for (const { world, ranges, unowned } of cases) {
              options = guarded(ranges).find(({ family }) => family === first.family) ?? first;
              walker.rules.setOptions(options);
              walker.become(world, unowned);
              const fresh = new PolicyNode(options);
              fresh.become(world, unowned);
              expect(contentOf(walker.kernel())).toEqual(contentOf(fresh.kernel()));
              expect(walker.rules.rangeMismatch()).toEqual(fresh.rules.rangeMismatch());
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
        fc.property(randomPlacedCase, ({ world, ranges, unowned }) => {
          for (const options of guarded(ranges)) {
            const before = new PolicyNode(options);
            before.become(world, unowned);
            const after = new PolicyNode(options, before.kernel());
            expect(isEmptyPlan(after.become(world, unowned))).toBe(true);
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

function contentOf({ tables, sets }: KernelSnapshot): unknown {
  return { filter: tables.get('filter'), sets: Array.from(sets, ([name, { members }]) => [name, members]) };
}
