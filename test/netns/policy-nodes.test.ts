import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { backends, canRunFaults } from '../support/fault-world.ts';
import { createPolicyLab, type PolicyLab, tried, triedAll } from '../support/policy-lab.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import {
  endpointSlices,
  frontendsOf,
  type Manifest,
  serviceManifest,
  servicePort,
} from '../support/service-manifests.ts';
import type { PodNetworkMode } from '../support/world-layout.ts';

const patience = { timeout: 30_000, interval: 100 };
const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];
/** What a bridge changes does not depend on the backend. */
const modesOf = (backend: Backend): readonly PodNetworkMode[] =>
  backend === 'nft' && capabilities['bridge-netfilter'] ? ['routed', 'bridged'] : ['routed'];

const onlyFrom = (name: string): Manifest => ({
  podSelector: app('server'),
  ingress: [{ from: [{ podSelector: app(name) }] }],
});
const onlyTo = (name: string): Manifest => ({
  podSelector: app('client'),
  policyTypes: ['Egress'],
  egress: [{ to: [{ podSelector: app(name) }] }],
});

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend)).each(modesOf(backend))(
    `two nodes with a Weir each, on the ${backend} backend, pods %s`,
    (mode) => {
      let lab: PolicyLab;

      beforeAll(async () => {
        lab = await createPolicyLab(backend, {
          nodes: [
            { name: 'node-a', mode, pods: ['client', 'neighbour'] },
            { name: 'node-b', mode, pods: ['server', 'other'] },
          ],
          clients: ['outside'],
        });
        await lab.save(
          'services',
          serviceManifest({ name: 'server', number: 1 }),
          ...endpointSlices('server', [{ pod: lab.pod('server'), node: 'node-b' }]),
        );
      });
      beforeEach(() => lab.killAll());
      afterAll(() => lab.dispose());

      async function nodesThatAgree(): Promise<readonly string[]> {
        const plans = await Promise.all(['node-a', 'node-b'].map((node) => lab.plan(node)));
        return plans.flat();
      }

      async function enforced(...policies: readonly Manifest[]): Promise<void> {
        await lab.save('policies', ...policies);
        const agreed = ['IPv4: no change', 'IPv6: no change', 'IPv4: no change', 'IPv6: no change'];
        await expect.poll(nodesThatAgree, patience).toEqual(agreed);
      }

      const clientToServer = (): Promise<string> => triedAll(lab.pod('client'), lab.pod('server'));
      const neighbourToServer = (): Promise<string> => triedAll(lab.pod('neighbour'), lab.pod('server'));

      test('a connection needs both halves, each held where its pod lives', async () => {
        await lab.start('node-a');
        await lab.start('node-b');
        await enforced();
        expect(await clientToServer()).toBe('server');
        await enforced(policyManifest('in', onlyFrom('client')));
        expect([await clientToServer(), await neighbourToServer()]).toEqual(['server', 'timeout']);
        await enforced(policyManifest('in', onlyFrom('client')), policyManifest('out', onlyTo('other')));
        expect([await clientToServer(), await neighbourToServer()]).toEqual(['timeout', 'timeout']);
        expect(await triedAll(lab.pod('client'), lab.pod('other'))).toBe('other');
        expect(await triedAll(lab.pod('client'), lab.pod('neighbour'))).toBe('timeout');
        await enforced(policyManifest('in', onlyFrom('other')), policyManifest('out', onlyTo('server')));
        expect(await clientToServer()).toBe('timeout');
        expect(await triedAll(lab.pod('other'), lab.pod('server'))).toBe('server');
        await enforced(policyManifest('in', onlyFrom('client')), policyManifest('out', onlyTo('server')));
        expect([await clientToServer(), await neighbourToServer()]).toEqual(['server', 'timeout']);
      });

      test('a node without rules holds neither half of the pods elsewhere', async () => {
        await lab.save('policies');
        const [a, b] = [await lab.start('node-a'), await lab.start('node-b')];
        await enforced();
        await b.stop();
        await lab.save('policies', policyManifest('in', onlyFrom('neighbour')));
        await a.waitForLine(/policies\.json|synced|rules written/);
        // The server's own node has not heard of it yet, and the client's has nothing to say about who enters.
        await expect.poll(() => lab.plan('node-a'), patience).toEqual(['IPv4: no change', 'IPv6: no change']);
        expect(await clientToServer()).toBe('server');
        await lab.start('node-b');
        await expect.poll(clientToServer, patience).toBe('timeout');
        expect(await neighbourToServer()).toBe('server');
      });

      test('where a client enters by another node, it is that node which the pod behind a node port sees', async () => {
        await lab.start('node-a');
        await lab.start('node-b');
        const block = (address: string): Manifest => ({
          ipBlock: { cidr: `${address}/${address.includes(':') ? 128 : 32}` },
        });
        const from = (addresses: readonly string[]): Manifest =>
          policyManifest('in', { podSelector: app('server'), ingress: [{ from: addresses.map(block) }] });
        const through = (node: string, family: Family): Promise<string> =>
          tried(lab.outside, lab.world.nodeNamed(node), family, {
            port: frontendsOf(1, family).nodePort,
            timeoutMs: 1500,
          });
        const both = async (): Promise<readonly string[]> =>
          Promise.all(
            families.flatMap((family) => ['node-a', 'node-b'].map((node) => through(node, family))),
          );
        await enforced(from(lab.outside.addresses));
        expect(await both()).toEqual(['timeout', 'server', 'timeout', 'server']);
        await enforced(from(lab.node.addresses));
        expect(await both()).toEqual(['server', 'timeout', 'server', 'timeout']);
      });

      test('at a cluster IP the pod that asks is judged on both nodes', async () => {
        await lab.start('node-a');
        await lab.start('node-b');
        const asked = async (): Promise<readonly string[]> =>
          Promise.all(
            families.flatMap((family) =>
              ['client', 'neighbour'].map(async (pod) => {
                const request = {
                  protocol: 'tcp',
                  address: frontendsOf(1, family).clusterIP,
                  port: servicePort,
                } as const;
                const outcome = await lab.pod(pod).connect({ ...request, timeoutMs: 1500 });
                return outcome.kind === 'reply' ? outcome.name : outcome.kind;
              }),
            ),
          );
        await enforced(policyManifest('in', onlyFrom('client')));
        expect(await asked()).toEqual(['server', 'timeout', 'server', 'timeout']);
        await enforced(policyManifest('out', onlyTo('other')));
        expect(await asked()).toEqual(['timeout', 'server', 'timeout', 'server']);
      });
    },
  );
}
