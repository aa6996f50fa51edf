import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transport } from '../support/agent/protocol.ts';
import { capabilities } from '../support/capabilities.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { createWorld, type World } from '../support/world.ts';
import type { PodNetworkMode } from '../support/world-layout.ts';

const usable = capabilities.netns && capabilities.ipv6;
const families = ['IPv4', 'IPv6'] as const;
const protocols: readonly Transport[] = capabilities['perl-raw'] ? ['tcp', 'udp', 'sctp'] : ['tcp', 'udp'];
const modes: readonly PodNetworkMode[] = capabilities['bridge-netfilter']
  ? ['routed', 'bridged']
  : ['routed'];
const port = 8080;

describe.skipIf(!usable).each(modes)('a world with %s pods', (mode) => {
  let world: World;

  beforeAll(async () => {
    world = await createWorld({
      nodes: [
        { name: 'node-a', mode, pods: ['a', 'b', 'c'] },
        { name: 'node-b', mode, pods: ['d'] },
      ],
      clients: ['outside'],
    });
    await world.startAgents();
    const everyone = [world.node, world.pod('a'), world.pod('d'), world.client('outside')];
    const requests = protocols.map((protocol) => ({ protocol, port }));
    await Promise.all(everyone.map((machine) => machine.listen(...requests)));
  });
  afterAll(() => world.dispose());

  describe.each(families)('over %s', (family) => {
    describe.each(protocols)('and %s', (protocol) => {
      const paths = [
        {
          from: 'a pod',
          source: () => world.pod('b'),
          to: 'a pod of the same node',
          destination: () => world.pod('a'),
        },
        {
          from: 'a pod',
          source: () => world.pod('b'),
          to: 'a pod of another node',
          destination: () => world.pod('d'),
        },
        { from: 'a pod', source: () => world.pod('b'), to: 'its node', destination: () => world.node },
        {
          from: 'a pod',
          source: () => world.pod('b'),
          to: 'a client',
          destination: () => world.client('outside'),
        },
        { from: 'the node', source: () => world.node, to: 'its pod', destination: () => world.pod('a') },
        {
          from: 'the node',
          source: () => world.node,
          to: 'a client',
          destination: () => world.client('outside'),
        },
        {
          from: 'a client',
          source: () => world.client('outside'),
          to: 'the node',
          destination: () => world.node,
        },
        {
          from: 'a client',
          source: () => world.client('outside'),
          to: 'a pod',
          destination: () => world.pod('a'),
        },
        {
          from: 'a client',
          source: () => world.client('outside'),
          to: 'a far pod',
          destination: () => world.pod('d'),
        },
      ];

      test.each(paths)('$from reaches $to and is seen as itself', async ({ source, destination }) => {
        const address = destination().address(family);
        const outcome = await source().connect({ protocol, address, port });
        expect(outcome).toMatchObject({ kind: 'reply', name: destination().name });
        const own = await addressesOf(source());
        expect(own).toContain(outcome.kind === 'reply' ? outcome.seenAddress : undefined);
      });

      test('a port nobody listens on is refused', async () => {
        const address = world.pod('a').address(family);
        expect(await world.pod('b').connect({ protocol, address, port: 9 })).toMatchObject({
          kind: 'refused',
        });
      });
    });
  });
});

/** A node has more addresses than the one it is known by. */
async function addressesOf(machine: NetworkNamespace): Promise<readonly string[]> {
  const { stdout } = await machine.run('ip', ['-brief', 'address', 'show']);
  return [...stdout.matchAll(/([0-9a-f.:]+)\/\d+/g)].map((match) => match[1] ?? '');
}
