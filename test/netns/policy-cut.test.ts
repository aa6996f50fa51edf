import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { backends, canRunFaults } from '../support/fault-world.ts';
import type { NetworkNamespace, OpenFlow } from '../support/network-namespace.ts';
import { createPolicyLab, type PolicyLab, targetOf, tried } from '../support/policy-lab.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import {
  endpointSlices,
  frontendsOf,
  type Manifest,
  serviceManifest,
  servicePort,
  targetPort,
} from '../support/service-manifests.ts';

const families = ['IPv4', 'IPv6'] as const;
const patience = { timeout: 10_000, interval: 100 };
/** How long what must not come is waited for: a TCP sender tries again twice meanwhile. */
const silenceMs = 1000;
const service = { name: 'shop', number: 1 };

/** Friends may talk with the API; nobody else. */
const friendsOnly = policyManifest('friends', {
  podSelector: app('api'),
  policyTypes: ['Ingress'],
  ingress: [{ from: [{ podSelector: app('friend') }] }],
});
/** The same, said from the other side: the stranger may talk with nobody. */
const strangerLocked = policyManifest('locked', { podSelector: app('stranger'), policyTypes: ['Egress'] });

/** Connections that someone holds with the API, straight and through its Service. */
interface Held {
  readonly straight: OpenFlow;
  readonly throughService: OpenFlow;
  readonly udp: OpenFlow;
}

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend) || !capabilities.conntrack)(
    `open connections that a policy comes to forbid, on the ${backend} backend,`,
    () => {
      let lab: PolicyLab;
      const flows: OpenFlow[] = [];

      beforeAll(async () => {
        lab = await createPolicyLab(backend, {
          nodes: [{ name: 'node-a', pods: ['api', 'friend', 'stranger'] }],
          clients: ['outside'],
        });
        const endpoints = endpointSlices(service.name, [{ pod: lab.pod('api'), node: 'node-a' }]);
        await lab.save('service', serviceManifest(service), ...endpoints);
      });
      afterEach(async () => {
        await Promise.all(flows.splice(0).map((flow) => flow.close()));
        await lab.killAll();
        await lab.remove('policy');
      });
      afterAll(() => lab.dispose());

      async function open(
        from: NetworkNamespace,
        request: Parameters<NetworkNamespace['openFlow']>[0],
      ): Promise<OpenFlow> {
        const flow = await from.openFlow(request);
        expect(flow.outcome).toMatchObject({ kind: 'reply', name: 'api' });
        flows.push(flow);
        return flow;
      }

      async function hold(from: NetworkNamespace, family: (typeof families)[number]): Promise<Held> {
        const address = frontendsOf(service.number, family).clusterIP;
        return {
          straight: await open(from, targetOf(lab.pod('api'), family, 'tcp')),
          throughService: await open(from, { protocol: 'tcp', address, port: servicePort }),
          udp: await open(from, targetOf(lab.pod('api'), family, 'udp')),
        };
      }

      async function holdAll(from: NetworkNamespace): Promise<readonly Held[]> {
        return Promise.all(families.map((family) => hold(from, family)));
      }

      /** Has the policy written, and waits until it is enforced on new connections. */
      async function enforce(policy: Manifest): Promise<void> {
        await lab.save('policy', policy);
        for (const family of families) {
          await expect
            .poll(() => tried(lab.pod('stranger'), lab.pod('api'), family), patience)
            .toBe('timeout');
        }
      }

      /** Which of these still carry something from the client to the server and back. */
      async function alive(held: readonly Held[]): Promise<readonly boolean[]> {
        const outcomes = held.flatMap(({ straight, throughService, udp }) =>
          [straight, throughService, udp].map(async (flow, index) => {
            const { kind } = await flow.exchange(`still there ${index}`, silenceMs);
            return kind === 'reply';
          }),
        );
        return Promise.all(outcomes);
      }

      /** How many messages that nobody asked for come through to the client's TCP connections. */
      async function pushed(held: readonly Held[], text: string): Promise<readonly number[]> {
        const tcp = held.flatMap(({ straight, throughService }) => [straight, throughService]);
        const before = await Promise.all(tcp.map((flow) => flow.received()));
        await lab.pod('api').push(targetPort, text);
        await new Promise((resolve) => {
          setTimeout(resolve, silenceMs);
        });
        const after = await Promise.all(tcp.map((flow) => flow.received()));
        return after.map((count, index) => count - (before[index] ?? 0));
      }

      const policies = [
        ['its server closes itself to the client', friendsOnly],
        ['its client is locked in', strangerLocked],
      ] as const;

      test.each(policies)('end with cut when %s, and no others do', async (_case, policy) => {
        await lab.start('node-a', '--policy-established=cut');
        const [forbidden, allowed, own] = await Promise.all([
          holdAll(lab.pod('stranger')),
          holdAll(lab.pod('friend')),
          holdAll(lab.node),
        ]);
        await enforce(policy);
        // The server first: its packets would bring a TCP connection back to life.
        await expect.poll(() => pushed(forbidden, 'pushed'), patience).toEqual([0, 0, 0, 0]);
        expect(await alive(forbidden)).toEqual([false, false, false, false, false, false]);
        expect(await pushed(forbidden, 'pushed again')).toEqual([0, 0, 0, 0]);
        expect(await pushed(allowed, 'pushed to friends')).toEqual([1, 1, 1, 1]);
        expect(await alive(allowed)).toEqual([true, true, true, true, true, true]);
        expect(await alive(own)).toEqual([true, true, true, true, true, true]);
      });

      test.each(policies)('live on with keep when %s', async (_case, policy) => {
        await lab.start('node-a');
        const forbidden = await holdAll(lab.pod('stranger'));
        await enforce(policy);
        expect(await pushed(forbidden, 'pushed')).toEqual([1, 1, 1, 1]);
        expect(await alive(forbidden)).toEqual([true, true, true, true, true, true]);
      });

      test('end with cut when the client loses the label that let it in', async () => {
        await lab.save('policy', friendsOnly);
        await lab.savePod({ name: 'stranger', node: 'node-a', labels: { app: 'friend' } });
        await lab.start('node-a', '--policy-established=cut');
        const [forbidden, allowed] = await Promise.all([
          holdAll(lab.pod('stranger')),
          holdAll(lab.pod('friend')),
        ]);
        await lab.savePod({ name: 'stranger', node: 'node-a' });
        await expect.poll(() => pushed(forbidden, 'pushed'), patience).toEqual([0, 0, 0, 0]);
        expect(await alive(forbidden)).toEqual([false, false, false, false, false, false]);
        expect(await alive(allowed)).toEqual([true, true, true, true, true, true]);
      });
    },
  );
}
