import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../pkg/runtime/index.ts';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  liveServices,
} from '../support/fault-world.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import { fillerManifests } from '../support/kube-proxy-node.ts';
import { rotating } from '../support/rotating.ts';
import { patient, ServiceLoad } from '../support/service-load.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';

const services = Object.values(liveServices);
const patience = { timeout: 60_000, interval: 300 };
const unchanged = ['IPv4: no change', 'IPv6: no change'];

for (const backend of rotating('fault-restart', backends)) {
  describe.skipIf(!canRunFaults(backend))(`ending and starting on the ${backend} backend`, () => {
    let faults: FaultWorld;
    let tools: FaultyTools;
    const restore = { IPv4: `iptables-${backend}-restore`, IPv6: `ip6tables-${backend}-restore` } as const;

    beforeAll(async () => {
      tools = await FaultyTools.mount([restore.IPv4, restore.IPv6, 'ipset']);
      faults = await createFaultWorld(backend);
    });
    afterAll(async () => {
      await faults.dispose();
      await tools.unmount();
    });
    beforeEach(() => faults.setServices(services));
    afterEach(() => faults.wipe());

    async function writes(): Promise<number> {
      return (await tools.calls()).filter((call) => call.includes('restore ')).length;
    }

    test('a restart with the same objects writes nothing, and the rules stay in between', async () => {
      const first = await faults.start();
      await first.waitForLine(/every change of the rules is signalled/);
      const rules = await faults.rules();
      const { clusterIP } = frontendsOf(liveServices.shop.number, 'IPv4');
      const to = patient('tcp', clusterIP, servicePort);
      const item = { title: 'cluster IP', from: faults.pod('c'), to };
      const load = await ServiceLoad.start([{ ...item, everyMs: 20 }], [item]);
      expect(await first.stop()).toEqual({ code: 0, signal: null });
      expect(await faults.rules()).toEqual(rules);
      const before = await writes();
      const second = await faults.start();
      await second.waitForLine(/reading the kernel: /);
      expect(await second.stop()).toEqual({ code: 0, signal: null });
      expect(await writes()).toBe(before);
      expect(second.lines.filter((line) => /rules written/.test(line))).toEqual([]);
      expect(await faults.rules()).toEqual(rules);
      expect(await load.stop()).toMatchObject({ failures: {}, brokenFlows: [] });
    });

    test('killed with SIGKILL during a sync, at whatever moment, it goes on from there', async () => {
      const many = families.flatMap((family) => fillerManifests(400, family));
      const few = families.flatMap((family) => fillerManifests(100, family));
      for (const [index, waitMs] of [0, 40, 120, 250].entries()) {
        await faults.setServices(services, index % 2 === 0 ? many : few);
        const before = await writes();
        const weir = faults.launch();
        await expect.poll(writes, { timeout: 60_000, interval: 5 }).toBeGreaterThan(before);
        await systemClock.sleep(waitMs);
        expect(await weir.kill()).toEqual({ code: null, signal: 'SIGKILL' });
      }
      await faults.setServices(services);
      const last = await faults.start();
      await expect.poll(async () => (await faults.plan()).lines, patience).toEqual(unchanged);
      const rules = await faults.rules();
      await last.stop();
      await faults.wipe();
      await faults.start();
      expect(await faults.rules()).toEqual(rules);
    });

    test('SIGTERM lets a restore end that is under way', async () => {
      await tools.delay(restore.IPv4, 2);
      const weir = faults.launch();
      await expect.poll(() => tools.isSpent(restore.IPv4), patience).toBe(true);
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
      expect((await faults.plan()).lines).toEqual(unchanged);
    });

    // Takes the whole deadline, and has nothing to do with the backend.
    if (backend === 'nft')
      test('SIGTERM abandons a restore that does not end in time, and the next start makes it good', async () => {
        await tools.delay(restore.IPv4, 60);
        const weir = faults.launch();
        await expect.poll(() => tools.isSpent(restore.IPv4), patience).toBe(true);
        expect(await weir.stop()).toEqual({ code: 0, signal: null });
        expect(weir.lines.at(-1)).toMatch(/abandoned/);
        await faults.start();
        expect((await faults.plan()).lines).toEqual(unchanged);
      });

    test('a second signal ends it at once', async () => {
      await tools.delay(restore.IPv4, 60);
      const weir = faults.launch();
      await expect.poll(() => tools.isSpent(restore.IPv4), patience).toBe(true);
      weir.signal('SIGTERM');
      await weir.waitForLine(/SIGTERM: stopping/);
      weir.signal('SIGTERM');
      expect(await weir.exited).toEqual({ code: 143, signal: null });
      expect(weir.lines.filter((line) => /abandoned/.test(line))).toEqual([]);
    });
  });
}
