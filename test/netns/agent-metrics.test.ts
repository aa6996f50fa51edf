import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AgentNode, createAgentNode } from '../support/agent-node.ts';
import { backends, canRunFaults, type FaultService, families, liveServices } from '../support/fault-world.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import { frontendsOf, targetPort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 250 };
const newcomer: FaultService = { name: 'newcomer', number: 5, pods: ['c'] };
const another: FaultService = { name: 'another', number: 6, pods: ['c'] };

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(`the metrics of an agent on the ${backend} backend`, () => {
    const restore = `iptables-${backend}-restore`;
    let tools: FaultyTools;
    let agent: AgentNode;
    let weir: WeirProcess;

    beforeAll(async () => {
      tools = await FaultyTools.mount([restore]);
      agent = await createAgentNode(backend);
      await agent.newApi();
      agent.putService(liveServices.shop);
      weir = await agent.start();
    });
    afterAll(async () => {
      await agent.dispose();
      await tools.unmount();
    });

    /** The sum of all series whose labels are these, among others. */
    async function metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
      const metrics = await agent.scrape();
      const family = metrics.get(name) ?? metrics.get(name.replace(/_(?:sum|count)$/, ''));
      const samples = (family?.samples ?? []).filter(
        (sample) =>
          sample.name === name &&
          Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      );
      if (samples.length === 0) throw new Error(`no ${name}${JSON.stringify(labels)}`);
      return samples.reduce((sum, { value }) => sum + value, 0);
    }

    const repairs = (): Promise<number> => metric('weir_drift_repairs_total', { kind: 'chain' });

    test('say how long changes took', async () => {
      const name = 'weir_event_to_applied_seconds';
      const before = await Promise.all(families.map((ip_family) => metric(`${name}_count`, { ip_family })));
      agent.putService(newcomer);
      for (const [index, ip_family] of families.entries()) {
        await expect
          .poll(() => metric(`${name}_count`, { ip_family }), patience)
          .toBeGreaterThan(before[index] ?? 0);
        expect(await metric(`${name}_sum`, { ip_family })).toBeGreaterThan(0);
      }
      expect(await metric('kubeproxy_sync_proxy_rules_endpoint_changes_total')).toBeGreaterThan(0);
      expect(await metric('weir_watch_events_total', { kind: 'Service' })).toBe(1);
    });

    test('count what is put right after others', async () => {
      expect(await repairs()).toBe(0);
      const before = (await agent.faults.rules()).own;
      await agent.faults.iptables('IPv4', '-F KUBE-FORWARD');
      await expect.poll(repairs, patience).toBe(1);
      expect((await agent.faults.rules()).own).toEqual(before);
      await weir.waitForLine(/IPv4 rules were changed by somebody else: repaired/);
    });

    test('count what could not be written', async () => {
      const failures = (ip_family: string): Promise<number> =>
        metric('kubeproxy_sync_proxy_rules_iptables_restore_failures_total', { ip_family });
      expect(await failures('IPv4')).toBe(0);
      // Once: the next run is no write, but the search for what was refused.
      await tools.fail(restore, 1);
      agent.putService(another);
      const address = frontendsOf(another.number, 'IPv4').clusterIP;
      await expect
        .poll(() => agent.faults.save('IPv4', '-t', 'nat'), patience)
        .toContain(` -d ${address}/32 `);
      await expect.poll(() => failures('IPv4'), patience).toBe(1);
      expect(await failures('IPv6')).toBe(0);
    });

    test('count the packets that policies refuse, and never fewer after a rewrite', async () => {
      const closed = { podSelector: app('a'), policyTypes: ['Ingress'] };
      agent.api.put(policyManifest('closed', closed));
      const dropped = (): Promise<number> =>
        metric('weir_policy_dropped_packets_total', { direction: 'ingress' });
      const profiles = async (): Promise<unknown> =>
        (await agent.scrape()).get('weir_policy_profile_info')?.samples.map(({ labels }) => labels);
      await expect
        .poll(profiles, patience)
        .toEqual([expect.objectContaining({ direction: 'ingress', policies: 'default/closed' })]);
      await refused();
      await expect.poll(dropped, patience).toBeGreaterThan(0);
      const first = await dropped();

      // Somebody else takes the chains away, with all that they have counted.
      const chains = Object.keys((await agent.faults.rules()).own)
        .map((name) => name.split(' '))
        .filter(
          ([family, table, chain]) => family === 'IPv4' && table === 'filter' && chain?.startsWith('WEIR-'),
        )
        .map(([, , chain]) => `-F ${chain}`);
      const before = await repairs();
      await agent.faults.iptables('IPv4', ...chains);
      // The log may well be silent: it tells equal warnings once in half a minute.
      await expect.poll(repairs, patience).toBeGreaterThan(before);
      expect(await dropped()).toBeGreaterThanOrEqual(first);
      // A counter that starts again and has come as far as it was when it was last read looks as if it stood still.
      const afterAnother = async (): Promise<number> => {
        await refused();
        return dropped();
      };
      await expect.poll(afterAnother, patience).toBeGreaterThan(first);
    });

    async function refused(): Promise<void> {
      const connect = async (): Promise<string> => {
        const outcome = await agent.faults.pod('c').connect({
          protocol: 'tcp',
          address: agent.faults.pod('a').address('IPv4'),
          port: targetPort,
          timeoutMs: 1000,
        });
        return outcome.kind;
      };
      await expect.poll(connect, patience).toBe('timeout');
    }
  });
}
