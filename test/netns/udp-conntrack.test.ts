import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { backends, canRunFaults, families } from '../support/fault-world.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import {
  endpointSlices,
  frontendsOf,
  type Manifest,
  serviceManifest,
  servicePort,
  targetPort,
} from '../support/service-manifests.ts';
import { startUdpNode, type UdpNode } from '../support/udp-node.ts';
import { createWorld, type World } from '../support/world.ts';

const patience = { timeout: 15_000, interval: 100 };
const otherPort = targetPort + 1;
const shop = { name: 'shop', number: 1 };
const other = { name: 'other', number: 2 };
const slicePorts = (port: number) => [{ name: 'udp', protocol: 'UDP', port }];

type Frontend = keyof ReturnType<typeof frontendsOf>;

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend) || !capabilities.conntrack)(
    `a UDP client that never falls silent, on the ${backend} backend,`,
    () => {
      let world: World;
      let node: UdpNode;
      let nextPort = 20_000;

      beforeAll(async () => {
        world = await createWorld({
          nodes: [{ name: 'node-a', pods: ['client', 'a', 'b'] }],
          clients: ['outside'],
        });
        await world.startAgents();
        for (const pod of ['a', 'b']) await world.pod(pod).listen({ protocol: 'udp', port: targetPort });
        await world.pod('b').listen({ protocol: 'udp', port: otherPort });
      });
      beforeEach(async () => {
        node = await startUdpNode(world.node, backend);
      });
      afterEach(async () => {
        await node.set();
        await node.stop();
        await world.node.run('conntrack', ['-F']);
      });
      afterAll(() => world.dispose());

      function backed(service: typeof shop, pods: readonly string[], port = targetPort): readonly Manifest[] {
        const endpoints = pods.map((name) => ({ pod: world.pod(name), node: 'node-a' }));
        return [serviceManifest(service), ...endpointSlices(service.name, endpoints, slicePorts(port))];
      }

      /** One socket in each family: who answers on it, or how it fails. */
      function clientOf(
        from: NetworkNamespace,
        frontend: Frontend,
        service = shop,
      ): () => Promise<readonly string[]> {
        nextPort += 2;
        const firstPort = nextPort;
        return () =>
          Promise.all(
            families.map(async (family, index) => {
              const frontends = frontendsOf(service.number, family);
              const isNodePort = frontend === 'nodePort';
              const outcome = await from.connect({
                protocol: 'udp',
                address: isNodePort ? world.node.address(family) : frontends[frontend],
                port: isNodePort ? frontends.nodePort : servicePort,
                // A socket for IPv6 takes the port of IPv4 too.
                sourcePort: firstPort + index,
                timeoutMs: 300,
              });
              return outcome.kind === 'reply' ? outcome.name : outcome.kind;
            }),
          );
      }

      const ways: readonly [string, () => NetworkNamespace, Frontend][] = [
        ['a pod to the cluster IP', () => world.pod('client'), 'clusterIP'],
        ['a pod to the load balancer', () => world.pod('client'), 'loadBalancerIP'],
        ['the node itself to the cluster IP', () => world.node, 'clusterIP'],
        ['the node itself to the node port', () => world.node, 'nodePort'],
        ['outside to the node port', () => world.client('outside'), 'nodePort'],
        ['outside to the external IP', () => world.client('outside'), 'externalIP'],
      ];

      test.each(ways)('from %s, follows its Service to another endpoint', async (_case, from, frontend) => {
        const ask = clientOf(from(), frontend);
        await node.set(...backed(shop, ['a']));
        expect(await ask()).toEqual(['a', 'a']);
        await node.set(...backed(shop, ['b']));
        await expect.poll(ask, patience).toEqual(['b', 'b']);
      });

      test('stays with its endpoint while that serves, whatever else comes and goes', async () => {
        const ask = clientOf(world.pod('client'), 'clusterIP');
        await node.set(...backed(shop, ['a']));
        expect(await ask()).toEqual(['a', 'a']);
        await expect.poll(() => node.looks, patience).toBe(2);
        await node.set(...backed(shop, ['a', 'b']));
        await expect.poll(() => node.looks, patience).toBe(4);
        const endpoints = ['a', 'b'].map((name) => ({
          pod: world.pod(name),
          node: 'node-a',
          conditions: name === 'a' ? { ready: false, serving: true, terminating: true } : {},
        }));
        await node.set(
          serviceManifest(shop),
          ...endpointSlices(shop.name, endpoints, slicePorts(targetPort)),
        );
        expect(await clientOf(world.pod('client'), 'clusterIP')()).toEqual(['b', 'b']);
        for (let count = 0; count < 5; count += 1) expect(await ask()).toEqual(['a', 'a']);
        expect(node.deleted).toBe(0);
      });

      test('is cut off when the last endpoint goes, and comes back with the next', async () => {
        const ask = clientOf(world.pod('client'), 'clusterIP');
        await node.set(...backed(shop, ['a']));
        expect(await ask()).toEqual(['a', 'a']);
        await node.set(...backed(shop, []));
        await expect.poll(ask, patience).toEqual(['refused', 'refused']);
        await node.set(...backed(shop, ['b']));
        await expect.poll(ask, patience).toEqual(['b', 'b']);
      });

      test.each(ways)('from %s, is cut off when its Service goes', async (_case, from, frontend) => {
        const ask = clientOf(from(), frontend);
        const stays = clientOf(from(), frontend, other);
        await node.set(...backed(shop, ['a']), ...backed(other, ['a']));
        expect(await ask()).toEqual(['a', 'a']);
        expect(await stays()).toEqual(['a', 'a']);
        await node.set(...backed(other, ['a']));
        await expect.poll(ask, patience).not.toContain('a');
        expect(await stays()).toEqual(['a', 'a']);
        await expect.poll(() => node.deleted, patience).toBe(2);
      });

      test('is cut off when only the address that it uses goes', async () => {
        const ask = clientOf(world.client('outside'), 'nodePort');
        const stays = clientOf(world.pod('client'), 'clusterIP');
        await node.set(...backed(shop, ['a']));
        expect(await ask()).toEqual(['a', 'a']);
        expect(await stays()).toEqual(['a', 'a']);
        await node.set(
          ...backed(shop, ['a']).slice(1),
          serviceManifest({ ...shop, frontends: 'cluster-ip' }),
        );
        await expect.poll(ask, patience).not.toContain('a');
        expect(await stays()).toEqual(['a', 'a']);
      });

      test('follows its Service to another target port', async () => {
        const ask = clientOf(world.pod('client'), 'clusterIP');
        await node.set(...backed(shop, ['b'], otherPort));
        expect(await ask()).toEqual(['b', 'b']);
        await world.pod('b').unlisten({ protocol: 'udp', port: otherPort });
        await node.set(...backed(shop, ['b'], targetPort));
        await expect.poll(ask, patience).toEqual(['b', 'b']);
        await world.pod('b').listen({ protocol: 'udp', port: otherPort });
      });

      test('gets through although it began before the rules were there', async () => {
        const early = [
          clientOf(world.pod('client'), 'clusterIP'),
          clientOf(world.client('outside'), 'externalIP'),
        ];
        for (const ask of early) expect(await ask()).not.toContain('a');
        await node.set(...backed(shop, ['a']));
        for (const ask of early) await expect.poll(ask, patience).toEqual(['a', 'a']);
      });

      test('does not notice what happens to other Services, nor a restart', async () => {
        const ask = clientOf(world.client('outside'), 'nodePort', other);
        await node.set(...backed(shop, ['a']), ...backed(other, ['a']));
        expect(await ask()).toEqual(['a', 'a']);
        const before = await trackedIds();
        await node.set(...backed(shop, ['b']), ...backed(other, ['a']));
        await expect.poll(() => node.looks, patience).toBe(4);
        await node.stop();
        node = await startUdpNode(world.node, backend);
        await node.set(...backed(shop, ['b']), ...backed(other, ['a']));
        await expect.poll(() => node.looks, patience).toBe(2);
        expect(await trackedIds()).toEqual(before);
        expect(node.complaints).toEqual([]);
      });

      /** Each entry of the table by the number that the kernel gave it. */
      async function trackedIds(): Promise<readonly string[]> {
        const lists = families.map((family) =>
          world.node.run('conntrack', ['-L', '-f', family.toLowerCase(), '-p', 'udp', '-o', 'id']),
        );
        const outputs = await Promise.all(lists);
        const ids = outputs.flatMap(({ stdout }) =>
          [...stdout.matchAll(/\bid=(\d+)/g)].map(([, id]) => id ?? ''),
        );
        expect(ids).toHaveLength(2);
        return ids;
      }
    },
  );
}
