import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { type KubeProxyServicePort, kubeProxyJumps, kubeProxySync } from '../support/kube-proxy-rules.ts';
import { createWorld, type World } from '../support/world.ts';

const backends = ['legacy', 'nft'] as const;
const families: readonly Family[] = ['IPv4', 'IPv6'];
const virtualIP = { IPv4: '10.96.0.7', IPv6: 'fd00:10:96::7' } as const;
const loadBalancerIP = { IPv4: '203.0.113.7', IPv6: '2001:db8::7' } as const;
const clusterCidr = { IPv4: '10.244.0.0/16', IPv6: 'fd00:10:244::/48' } as const;
const clientRange = { IPv4: '172.18.0.0/24', IPv6: 'fd00:172:18::/64' } as const;

for (const backend of backends) {
  const usable = capabilities.netns && capabilities.ipv6 && capabilities[`iptables-${backend}`];
  describe.skipIf(!usable).each(families)(
    `kube-proxy's rules on the ${backend} backend over %s`,
    (family) => {
      const tool = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${backend}`;
      let world: World;

      const shop = (pods: readonly string[]): KubeProxyServicePort => ({
        id: 'default/shop:http',
        protocol: 'tcp',
        clusterIP: virtualIP[family],
        port: 80,
        nodePort: 30_080,
        loadBalancerIPs: [loadBalancerIP[family]],
        sourceRanges: [clientRange[family]],
        affinitySeconds: 10_800,
        endpoints: pods.map((pod) => ({ address: world.pod(pod).address(family), port: 8080, local: true })),
      });
      const restore = (input: string): Promise<unknown> =>
        world.node.run(`${tool}-restore`, ['--noflush', '--wait'], { input });
      const natChains = async (): Promise<readonly string[]> => {
        const { stdout } = await world.node.run(`${tool}-save`, ['-t', 'nat']);
        return [...stdout.matchAll(/^:(\S+)/gm)].map((match) => match[1] ?? '');
      };
      const sync = async (services: readonly KubeProxyServicePort[]): Promise<unknown> => {
        const existingNatChains = await natChains();
        return restore(
          kubeProxySync(services, { family, clusterCidr: clusterCidr[family], existingNatChains }),
        );
      };

      beforeAll(async () => {
        world = await createWorld({ nodes: [{ name: 'node', pods: ['a', 'b', 'c'] }], clients: ['outside'] });
        await Promise.all(['a', 'b'].map((pod) => world.pod(pod).listen({ protocol: 'tcp', port: 8080 })));
        await restore(kubeProxyJumps());
      });
      afterAll(() => world.dispose());

      test('lead every kind of address to a pod', async () => {
        await sync([shop(['a'])]);
        const reply = { kind: 'reply', name: 'a' };
        const fromPod = await world
          .pod('c')
          .connect({ protocol: 'tcp', address: virtualIP[family], port: 80 });
        expect(fromPod).toMatchObject({ ...reply, seenAddress: world.pod('c').address(family) });
        const outside = world.client('outside');
        const nodePort = { protocol: 'tcp', address: world.node.address(family), port: 30_080 } as const;
        const throughNodePort = await outside.connect(nodePort);
        expect(throughNodePort).toMatchObject(reply);
        expect(throughNodePort).not.toMatchObject({ seenAddress: outside.address(family) });
        const balanced = { protocol: 'tcp', address: loadBalancerIP[family], port: 80 } as const;
        expect(await outside.connect(balanced)).toMatchObject(reply);
        expect(await world.pod('c').connect({ ...balanced, timeoutMs: 300 })).toMatchObject({
          kind: 'timeout',
        });
      });

      test('delete the chains of what is gone', async () => {
        await sync([shop(['a', 'b'])]);
        const before = await natChains();
        await sync([shop(['b'])]);
        const after = await natChains();
        expect(before.filter((chain) => chain.startsWith('KUBE-SEP-'))).toHaveLength(2);
        expect(after.filter((chain) => chain.startsWith('KUBE-SEP-'))).toHaveLength(1);
        await sync([]);
        const left = await natChains();
        expect(left.filter((chain) => /^KUBE-(SVC|SEP|EXT|FW)-/.test(chain))).toEqual([]);
      });

      test('refuse a Service without endpoints', async () => {
        await sync([shop([])]);
        const outcome = await world
          .pod('c')
          .connect({ protocol: 'tcp', address: virtualIP[family], port: 80 });
        expect(outcome).toMatchObject({ kind: 'refused' });
      });
    },
  );
}
