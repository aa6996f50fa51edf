import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  liveServices,
} from '../support/fault-world.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import { rotating } from '../support/rotating.ts';
import { patient, ServiceLoad } from '../support/service-load.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const services = [liveServices.shop, liveServices.alone, liveServices.empty];
const newcomer = { name: 'newcomer', number: 5, pods: ['c'] } as const;
const shop = frontendsOf(1, 'IPv4');
const allRight = [0, 'c', 'c'];
const patience = { timeout: 60_000, interval: 300 };

for (const backend of rotating('fault-restore', backends)) {
  describe.skipIf(!canRunFaults(backend))(`when writing fails on the ${backend} backend`, () => {
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

    /** Who answers at the newcomer's addresses, and whether anything is left to be written. */
    async function state(): Promise<readonly unknown[]> {
      const { code } = await faults.plan();
      const answers = families.map((family) => {
        const { clusterIP } = frontendsOf(newcomer.number, family);
        return faults
          .pod('b')
          .connect({ protocol: 'tcp', address: clusterIP, port: servicePort, timeoutMs: 1000 });
      });
      return [
        code,
        ...(await Promise.all(answers)).map((answer) =>
          answer.kind === 'reply' ? answer.name : answer.kind,
        ),
      ];
    }

    async function withTraffic(work: () => Promise<void>): Promise<void> {
      const clusterIP = patient('tcp', shop.clusterIP, servicePort);
      const nodePort = patient('tcp', faults.node.address('IPv4'), shop.nodePort);
      const load = await ServiceLoad.start(
        [
          { title: 'cluster IP', from: faults.pod('c'), to: clusterIP, everyMs: 20 },
          { title: 'node port', from: faults.outside, to: nodePort, everyMs: 20 },
        ],
        [{ title: 'long-lived', from: faults.pod('c'), to: clusterIP }],
      );
      await work();
      expect(await load.stop()).toMatchObject({ failures: {}, brokenFlows: [] });
    }

    async function startAndAdd(order: () => Promise<void>): Promise<WeirProcess> {
      const weir = await faults.start();
      await withTraffic(async () => {
        await order();
        await faults.setServices([...services, newcomer]);
        await expect.poll(state, patience).toEqual(allRight);
      });
      return weir;
    }

    const complaints = (weir: WeirProcess): readonly string[] =>
      weir.lines.filter((line) => /rules not written/.test(line));

    test('a restore that fails once is tried again, and says what it was about', async () => {
      const weir = await startAndAdd(() => tools.fail(restore.IPv4, 1));
      expect(await tools.isSpent(restore.IPv4)).toBe(true);
      expect(complaints(weir)).toHaveLength(1);
      expect(complaints(weir)[0]).toMatch(new RegExp(`${restore.IPv4}.*line 2 failed`));
    });

    test('a restore that fails four times in both families is tried until it works', async () => {
      const weir = await startAndAdd(async () => {
        await Promise.all(families.map((family) => tools.fail(restore[family], 4)));
      });
      for (const family of families) expect(await tools.isSpent(restore[family])).toBe(true);
      expect(complaints(weir).length).toBeGreaterThan(0);
    });

    test('sets that cannot be written are tried again', async () => {
      const weir = await startAndAdd(() => tools.fail('ipset', 2));
      expect(await weir.waitForLine(/rules not written/)).toMatch(/ipset.*line 2 failed/);
    });

    test.each([
      ['before anything of it is in the kernel', 0],
      ['when all of it is in the kernel, before it could say so', 1],
    ])('a restore that is killed %s is made good', async (_, transaction) => {
      const weir = await startAndAdd(() => tools.killAfterCommit(restore.IPv4, transaction));
      expect(await tools.isSpent(restore.IPv4)).toBe(true);
      expect(await weir.waitForLine(/rules not written/)).toMatch(/was killed/);
    });

    test('the very first restore may be killed between the tables, in both families', async () => {
      await Promise.all(families.map((family) => tools.killAfterCommit(restore[family], 1)));
      await faults.setServices([...services, newcomer]);
      await faults.start();
      await expect.poll(state, patience).toEqual(allRight);
    });

    /** A set with members that rules look into, and the line that makes it. */
    async function usedSet(): Promise<{ readonly name: string; readonly lines: readonly string[] }> {
      const sets = Object.entries((await faults.rules()).ownSets);
      const [name = '', lines = []] =
        sets.find(([, lines]) => lines.length > 2 && / hash:ip,port family inet /.test(lines[0] ?? '')) ?? [];
      return { name, lines };
    }

    async function restoreSets(...lines: readonly string[]): Promise<void> {
      await faults.node.run('ipset', ['restore'], { input: `${lines.join('\n')}\n` });
    }

    test('a set that has become too small is made anew under the rules that look into it, and named', async () => {
      await faults.start();
      const { name, lines } = await usedSet();
      await withTraffic(async () => {
        await faults.killAll();
        // Somebody puts one in its place that has just the room it needs.
        const small = lines.map((line) => line.replace(name, 'small'));
        const noRoom = small[0]?.replace(/maxelem \d+/, `maxelem ${lines.length - 1}`) ?? '';
        await restoreSets(noRoom, ...small.slice(1), `swap small ${name}`, 'destroy small');
        await faults.setServices([...services, newcomer]);
        const weir = await faults.start();
        const said = `set ${name} had room for ${lines.length - 1} members: made anew`;
        expect(weir.lines.filter((line) => line.includes(said))).toHaveLength(1);
        expect(complaints(weir)).toEqual([]);
        await expect.poll(state, patience).toEqual(allRight);
      });
      expect((await usedSet()).lines[0]).toBe(lines[0]);
      const left = Object.keys((await faults.rules()).ownSets).filter((set) => set.includes('TEMP'));
      expect(left).toEqual([]);
    });

    test('a set of another type that nobody uses is put right', async () => {
      await faults.start();
      const { name } = await usedSet();
      await faults.wipe();
      await restoreSets(`create ${name} hash:net family inet`, `add ${name} 192.0.2.1`);
      await faults.setServices([...services, newcomer]);
      const weir = await faults.start();
      expect(weir.lines.join('\n')).toContain(`set ${name} was hash:net for IPv4: made anew`);
      await expect.poll(state, patience).toEqual(allRight);
    });

    test('a set of another type that somebody uses holds back its own family, is named, and is no reason to end', async () => {
      await faults.start();
      const { name } = await usedSet();
      await faults.wipe();
      await restoreSets(`create ${name} hash:net family inet`);
      const rule = `FORWARD -m set --match-set ${name} src -j ACCEPT`;
      await faults.iptables('IPv4', `-A ${rule}`);
      await faults.setServices([...services, newcomer]);
      const weir = faults.launch();
      const said = await weir.waitForLine(/rules not written/);
      expect(said).toContain(`set ${name}, which was hash:net for IPv4`);
      expect(said).toContain('in use by a kernel component');
      const ipv6 = { protocol: 'tcp', address: frontendsOf(5, 'IPv6').clusterIP, port: servicePort } as const;
      await vi.waitFor(
        async () => expect(await faults.pod('b').connect(ipv6)).toMatchObject({ kind: 'reply' }),
        patience,
      );
      await faults.iptables('IPv4', `-D ${rule}`);
      await expect.poll(state, patience).toEqual(allRight);
    });

    // nf_tables has no lock.
    if (backend === 'legacy')
      test('a lock that somebody else holds for 8 seconds is waited for', async () => {
        const weir = await faults.start();
        await withTraffic(async () => {
          // The tool itself waits for five of them, and says nothing; a slow machine begins later.
          const hold = 'sleep 8; until [ -e /run/weir-waits ]; do sleep 0.2; done; rm /run/weir-waits';
          const holder = faults.node.run('timeout', ['60', 'flock', '/run/xtables.lock', 'sh', '-c', hold]);
          await vi.waitFor(
            () => faults.node.run('sh', ['-c', '! flock -n /run/xtables.lock true']),
            patience,
          );
          await faults.setServices([...services, newcomer]);
          await weir.waitForLine(/waits: .*xtables lock/);
          await faults.node.run('touch', ['/run/weir-waits']);
          await holder;
          await expect.poll(state, patience).toEqual(allRight);
        });
        expect(complaints(weir)).toEqual([]);
        expect(await weir.stop()).toEqual({ code: 0, signal: null });
      });
  });
}
