import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../pkg/runtime/index.ts';
import { type AgentNode, createAgentNode, healthPort } from '../support/agent-node.ts';
import type { Resource } from '../support/fake-api-resources.ts';
import { backends, canRunFaults, type FaultService, families } from '../support/fault-world.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import { rotating } from '../support/rotating.ts';
import { patient, ServiceLoad } from '../support/service-load.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 200 };
const shop: FaultService = { name: 'shop', number: 1, pods: ['a', 'b'] };
const moving: FaultService = { name: 'moving', number: 2, pods: ['a'] };
const leaving: FaultService = { name: 'leaving', number: 3, pods: ['b'] };
const newcomer: FaultService = { name: 'newcomer', number: 4, pods: ['c'] };
const watched: readonly Resource[] = [
  'services',
  'endpointslices',
  'nodes',
  'namespaces',
  'networkpolicies',
  'pods',
  'servicecidrs',
];

for (const backend of rotating('agent-outage', backends)) {
  describe.skipIf(!canRunFaults(backend))(`while the API server is away, on the ${backend} backend,`, () => {
    let agent: AgentNode;
    let weir: WeirProcess;
    let load: ServiceLoad | undefined;

    beforeAll(async () => {
      agent = await createAgentNode(backend);
    });
    afterAll(() => agent.dispose());
    beforeEach(async () => {
      await agent.newApi();
      for (const service of [shop, moving, leaving]) agent.putService(service);
      agent.api.put(policyManifest('for-b', { podSelector: app('b'), policyTypes: ['Egress'] }));
      weir = await agent.start('-v=1');
      await expect.poll(() => agent.api.watches.length, patience).toBe(watched.length);
    });
    afterEach(async () => {
      await load?.stop();
      load = undefined;
      await agent.wipe();
    });

    const written = (from = 0): readonly string[] =>
      weir.lines.slice(from).filter((line) => line.includes('rules written'));

    async function startLoad(): Promise<ServiceLoad> {
      const clusterIPs = families.map((family) =>
        patient('tcp', frontendsOf(shop.number, family).clusterIP, servicePort),
      );
      const from = agent.faults.pod('c');
      load = await ServiceLoad.start(
        clusterIPs.map((to) => ({ title: `to ${to.address}`, from, to, everyMs: 50 })),
        clusterIPs.map((to) => ({ title: `open to ${to.address}`, from, to })),
      );
      return load;
    }

    /** How often each endpoint of the Service that nobody touches was chosen: a chain that is written again begins at zero. */
    async function chosen(): Promise<readonly number[]> {
      const counts = families.map(async (family) => {
        const saved = await agent.faults.save(family, '-c', '-t', 'nat');
        const { clusterIP } = frontendsOf(shop.number, family);
        const dispatch = new RegExp(` -d ${clusterIP}/\\d+ -p tcp .*-j (KUBE-SVC-\\S+)$`, 'm');
        const [, chain = 'none'] = dispatch.exec(saved) ?? [];
        const rules = saved.matchAll(new RegExp(`^\\[(\\d+):\\d+\\] -A ${chain} .*-j DNAT `, 'gm'));
        return [...rules].map(([, packets]) => Number(packets));
      });
      return (await Promise.all(counts)).flat();
    }

    /** Who answers for each Service, from outside the cluster's own pods. */
    async function answers(...services: readonly FaultService[]): Promise<readonly string[]> {
      const outcomes = services.map(({ number }) =>
        agent.faults.pod('c').connect({
          protocol: 'tcp',
          address: frontendsOf(number, 'IPv4').clusterIP,
          port: servicePort,
          timeoutMs: 1000,
        }),
      );
      return (await Promise.all(outcomes)).map((one) => (one.kind === 'reply' ? one.name : one.kind));
    }

    test('traffic goes on, nothing is written, and on its return only what has changed', async () => {
      const traffic = await startLoad();
      await agent.api.refuse();
      const before = await agent.faults.rules();
      await weir.waitForLine(/WARN .*What is known stays in effect/);
      const from = weir.lines.length;
      await systemClock.sleep(4000);
      expect(await agent.faults.rules()).toEqual(before);
      expect(await agent.status(healthPort, '/readyz')).toBe(200);
      expect(await agent.status(healthPort, '/livez')).toBe(200);
      expect(await answers(moving, leaving, newcomer)).toEqual(['a', 'b', 'timeout']);

      agent.putService({ ...moving, pods: ['c'] });
      agent.removeService(leaving.name);
      agent.putService(newcomer);
      const chosenBefore = await chosen();
      expect(chosenBefore).toHaveLength(families.length * shop.pods.length);
      expect(Math.min(...chosenBefore)).toBeGreaterThan(0);
      expect(written(from)).toEqual([]);
      await agent.api.start();
      await expect.poll(() => answers(moving, leaving, newcomer), patience).toEqual(['c', 'timeout', 'c']);
      await expect.poll(() => agent.api.watches.length, patience).toBe(watched.length);

      const chosenAfter = await chosen();
      expect(chosenAfter.every((packets, index) => packets >= (chosenBefore[index] ?? 0))).toBe(true);
      const chains = Object.keys((await agent.faults.rules()).own).length / families.length;
      const chainsWritten = written(from).map((line) => Number(/ chains=(\d+) /.exec(line)?.[1]));
      expect(Math.max(...chainsWritten)).toBeLessThan(chains / 2);
      expect(await agent.status(healthPort, '/readyz')).toBe(200);
      expect(await traffic.stop()).toMatchObject({ failures: {}, brokenFlows: [] });
      load = undefined;
    });

    test('packets that get lost are noticed within 30 seconds, and what has changed meanwhile comes with the next that do not', async () => {
      const traffic = await startLoad();
      const before = await agent.faults.rules();
      const from = weir.lines.length;
      await agent.losePackets(true);
      try {
        agent.putService({ ...moving, pods: ['c'] });
        await weir.waitForLine(/DEBUG watch of endpointslices: .*ETIMEDOUT/, { from, timeoutMs: 30_000 });
        await weir.waitForLine(/WARN .*What is known stays in effect/, { from, timeoutMs: 60_000 });
        expect(await answers(shop, moving)).toEqual([expect.stringMatching(/^[ab]$/), 'a']);
        expect(await agent.faults.rules()).toEqual(before);
      } finally {
        await agent.losePackets(false);
      }
      await expect.poll(() => answers(moving), patience).toEqual(['c']);
      await weir.waitForLine(/INFO .*over: /, { from, timeoutMs: 60_000 });
      expect(await agent.status(healthPort, '/readyz')).toBe(200);
      expect(written(from).map((line) => / services=(\d+) /.exec(line)?.[1])).toEqual(
        families.map(() => '1'),
      );
      expect(await traffic.stop()).toMatchObject({ failures: {}, brokenFlows: [] });
      load = undefined;
    });

    test('a watch whose version has expired leads to a new list, and to no write', async () => {
      const before = await agent.faults.rules();
      const from = weir.lines.length;
      const restarts = async (): Promise<number> => {
        const metrics = await agent.scrape();
        const samples = metrics.get('weir_watch_restarts_total')?.samples ?? [];
        return samples.filter(({ labels }) => labels['reason'] === 'expired').length;
      };
      const asked = agent.api.requests.length;
      for (const resource of watched)
        agent.api.disturbWatches({ effect: 'error-event', code: 410, reason: 'Expired' }, resource);
      await expect.poll(restarts, patience).toBe(watched.length);
      const again = agent.api.requests.slice(asked).filter(({ verb }) => verb === 'LIST' || verb === 'WATCH');
      expect(new Set(again.map(({ resource }) => resource))).toEqual(new Set(watched));
      // From nothing, not from where the watch was.
      for (const resource of watched) {
        const first = again.find((request) => request.resource === resource);
        expect(first?.query['resourceVersion']).toBeUndefined();
      }
      await expect.poll(() => agent.api.watches.length, patience).toBe(watched.length);
      await systemClock.sleep(1000);
      expect(await agent.faults.rules()).toEqual(before);
      expect(written(from)).toEqual([]);
      // It hears what comes after.
      agent.putService(newcomer);
      await expect.poll(() => answers(newcomer), patience).toEqual(['c']);
    });

    test('what is deleted behind the back of an expired watch goes', async () => {
      expect(await answers(leaving)).toEqual(['b']);
      await agent.api.refuse();
      agent.removeService(leaving.name);
      agent.api.remove('networkpolicies', 'default', 'for-b');
      for (const resource of watched) agent.api.expire(resource);
      await agent.api.start();
      await expect.poll(() => answers(leaving), patience).toEqual(['timeout']);
      await expect
        .poll(async () => (await agent.written()).filter((name) => /^\S+ filter WEIR-/.test(name)), patience)
        .toEqual([]);
      await expect.poll(() => agent.api.watches.length, patience).toBe(watched.length);
    });
  });
}
