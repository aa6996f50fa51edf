import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NetworkPolicy, PolicyPeer, PolicyRule, Protocol } from '../../pkg/api/index.ts';
import { familyOf } from '../../pkg/net/index.ts';
import type { Packet, PolicyWorld } from '../../pkg/policy/decide/index.ts';
import type { Transport } from '../support/agent/protocol.ts';
import { isAllowedHere } from '../support/allowed-here.ts';
import { capabilities } from '../support/capabilities.ts';
import { closedAddresses } from '../support/closed-addresses.ts';
import { type Cell, createPolicyKernel, policyNode } from '../support/policy-kernel.ts';
import { worldManifests } from '../support/policy-wire.ts';
import { worldSeed } from '../support/random.ts';
import { localNode, randomPlacedCase } from '../support/random-policy-world.ts';
import { clientAddresses, lanCidrs, type MachineSpec } from '../support/world-layout.ts';

const worldsOfEachBackend = 105;
const cellsOfEachWorld = 300;
const timeLimitMs = 120_000;
/** A prime that divides no number of paths: walking with it meets all ends, protocols and ports alike. */
const stride = 37;

const seed = worldSeed();

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset && capabilities['perl-raw'];
/** Both ways to deny, one with each backend, and not the same worlds. */
const variants = (
  [
    { backend: 'nft', deny: 'drop', variantSeed: seed },
    { backend: 'legacy', deny: 'reject', variantSeed: (seed + 1) % 0x7fff_ffff },
  ] as const
).filter(({ backend }) => capabilities[`iptables-${backend}`]);

/** All that a pod of the random worlds may be; each machine has both addresses, whatever the world says of the pod. */
const machines: readonly MachineSpec[] = Array.from({ length: 6 }, (_, index) => ({
  name: `pod-${index}`,
  addresses: [`10.0.0.${index + 1}`, `fd00::${index + 1}`],
}));
const clients = ['outside', 'stranger'] as const;
const outsiders: readonly MachineSpec[] = clients.map((name, index) => ({
  name,
  addresses: clientAddresses({ name }, index),
}));

/** The outside of the random worlds, where the machines outside really are. */
const realBlocks: Readonly<Record<string, string>> = {
  '203.0.113.0/24': lanCidrs[0],
  '203.0.113.7/32': `${outsiders[0]?.addresses?.[0] ?? ''}/32`,
  '2001:db8::/32': lanCidrs[1],
};

const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const portNumbers = [53, 80, 81, 443, 65_535];

/** A world, and the ranges that the Node names. */
interface PlacedWorld {
  readonly world: PolicyWorld;
  readonly ranges: readonly string[];
}

const randomWorld: fc.Arbitrary<PlacedWorld> = randomPlacedCase.map(({ world, ranges }) => ({
  world: worldHere(world),
  ranges,
}));

interface Path {
  readonly from: string;
  readonly packet: Packet;
}

/** Every way between two machines of one family that goes through the node, with every protocol and port. */
const paths: readonly Path[] = [...machines, ...outsiders].flatMap((from) =>
  [...machines, ...outsiders]
    .filter((to) => to !== from && !(outsiders.includes(from) && outsiders.includes(to)))
    .flatMap(({ addresses = [] }) => addresses)
    .flatMap((destination) =>
      (from.addresses ?? [])
        .filter((source) => familyOf(source) === familyOf(destination))
        .flatMap((source) =>
          protocols.flatMap((protocol) =>
            portNumbers.map((destinationPort) => ({
              from: from.name,
              packet: { source, destination, protocol, destinationPort },
            })),
          ),
        ),
    ),
);

describe.skipIf(!usable)('random worlds of policies', () => {
  process.stderr.write(`WEIR_SEED=${seed} repeats the random worlds of policies\n`);

  test.each(variants)(
    'the evaluator and the kernel agree about every packet: $backend backend, --policy-deny=$deny',
    { timeout: timeLimitMs + 30_000 },
    async ({ backend, deny, variantSeed }) => {
      const ports = portNumbers.flatMap((port) =>
        protocols.map((protocol) => [transportOf(protocol), port] as const),
      );
      const kernel = await createPolicyKernel({ backend, deny, pods: machines, clients, ports });
      const expected = { allowed: 0, deniedByPolicies: 0 };
      let told = false;
      try {
        const rulesBefore = await kernel.rules();
        // One Weir goes through all worlds, so each begins with what the one before left.
        const property = fc.asyncProperty(randomWorld, fc.nat(paths.length - 1), async (placed, start) => {
          const { world, ranges } = placed;
          const known = ranges.length === 0 ? kernel.defaultRanges : ranges;
          const cells = cellsOf({ world, ranges: known }, start);
          expected.allowed += cells.filter((cell) => cell.isAllowed).length;
          expected.deniedByPolicies += cells.filter((cell) => cell.isDeniedByPolicies).length;
          await kernel.become(worldManifests(world, policyNode), ranges);
          const wrong = await kernel.wrongCells(cells);
          // Smaller worlds may fail for another reason than the one that was found.
          if (wrong.length > 0 && !told) process.stderr.write(`${backend}, found:\n${wrong.join('\n')}\n`);
          told ||= wrong.length > 0;
          expect(wrong).toEqual([]);
        });
        await fc.assert(property, {
          seed: variantSeed,
          numRuns: worldsOfEachBackend,
          interruptAfterTimeLimit: timeLimitMs,
          markInterruptAsFailure: true,
        });
        await kernel.become([]);
        expect(await kernel.rules()).toEqual(rulesBefore);
        expect(kernel.complaints.filter((line) => line.includes(' ERROR '))).toEqual([]);
      } finally {
        await kernel.dispose();
      }
      // Worlds in which nearly everything is open, or closed, would prove little.
      const tried = worldsOfEachBackend * cellsOfEachWorld;
      expect(Math.min(expected.allowed, expected.deniedByPolicies)).toBeGreaterThan(tried / 20);
    },
  );
});

/** The world with its local pods on this node, the others on others, and its outside where the machines outside are. */
function worldHere({ policies, pods, namespaces }: PolicyWorld): PolicyWorld {
  return {
    policies: policies.map(policyHere),
    pods: pods.map((pod) => ({
      ...pod,
      nodeName: pod.nodeName === localNode ? policyNode : (pod.nodeName ?? 'node-3'),
    })),
    namespaces,
  };
}

function policyHere(policy: NetworkPolicy): NetworkPolicy {
  return { ...policy, ingress: policy.ingress.map(ruleHere), egress: policy.egress.map(ruleHere) };
}

/** A list that is empty in a file says as much as none; the evaluator would take it for one of which nothing could be read. */
function ruleHere({ peers, ports }: PolicyRule): PolicyRule {
  return { peers: filled(peers?.map(peerHere)), ports: filled(ports) };
}

function filled<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list?.length === 0 ? undefined : list;
}

/** A peer says at least something: without any selector the API server would not take it. */
function peerHere(peer: PolicyPeer): PolicyPeer {
  if (peer.kind === 'ipBlock')
    return { ...peer, cidr: realBlock(peer.cidr), except: peer.except.map(realBlock) };
  if (peer.namespaceSelector !== undefined || peer.podSelector !== undefined) return peer;
  return { ...peer, podSelector: { matchLabels: {}, matchExpressions: [] } };
}

function realBlock(block: string): string {
  return realBlocks[block] ?? block;
}

interface JudgedCell extends Cell {
  readonly isDeniedByPolicies: boolean;
}

/** Besides what policies deny, addresses of the node's ranges that no known pod owns are closed, where addresses follow the ranges. */
function cellsOf({ world, ranges }: PlacedWorld, start: number): readonly JudgedCell[] {
  const isClosed = closedAddresses(world, { nodeName: policyNode, ranges, unowned: [] });
  return Array.from({ length: cellsOfEachWorld }, (_, index) => pathNumbered(start + index * stride)).map(
    ({ from, packet }) => {
      const isDeniedByPolicies = !isAllowedHere(world, packet, policyNode);
      return {
        from,
        protocol: transportOf(packet.protocol),
        address: packet.destination,
        port: packet.destinationPort,
        isAllowed: !isDeniedByPolicies && !isClosed(packet.source) && !isClosed(packet.destination),
        isDeniedByPolicies,
      };
    },
  );
}

function pathNumbered(number: number): Path {
  const path = paths[number % paths.length];
  if (path === undefined) throw new RangeError(`no path ${number}`);
  return path;
}

function transportOf(protocol: Packet['protocol']): Transport {
  return protocol.toLowerCase() as Transport;
}
