import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import { capabilities } from '../support/capabilities.ts';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  liveServices,
} from '../support/fault-world.ts';
import { kubeProxyTable } from '../support/kube-proxy-nftables.ts';
import { type LoadItem, patient, ServiceLoad } from '../support/service-load.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 40_000, interval: 200 };
const { alone } = liveServices;
/** kube-proxy knew it with endpoint a; now it has moved. */
const moved = { ...liveServices.shop, pods: ['b'] } as const;
const tables = ['table ip kube-proxy', 'table ip6 kube-proxy'];
const left = `kube-proxy in nftables mode has in force, and Weir removes once its own rules are written: ${tables.join(', ')}`;

for (const backend of backends) {
  const usable = canRunFaults(backend) && capabilities.nft;
  describe.skipIf(!usable)(`kube-proxy in nftables mode and Weir on the ${backend} backend`, () => {
    let faults: FaultWorld;

    beforeAll(async () => {
      faults = await createFaultWorld(backend);
      // As a CNI plugin with port mappings does before there is any kube-proxy: so kube-proxy's chains come before those of iptables.
      for (const family of families)
        await faults.iptables(family, '-t nat -N PORTMAP', '-t nat -A PREROUTING -j PORTMAP');
      await faults.setServices([moved, alone]);
    });
    beforeEach(() => kubeProxyWas());
    afterAll(() => faults.dispose());

    /** It ended, and left its tables. */
    async function kubeProxyWas(): Promise<void> {
      for (const family of families) {
        const endpoint = faults.pod('a').address(family);
        const text = kubeProxyTable(family, [
          { number: moved.number, endpoint },
          { number: alone.number, endpoint },
        ]);
        const name = `${family === 'IPv4' ? 'ip' : 'ip6'} kube-proxy`;
        await nft(`add table ${name}\ndelete table ${name}\n${text}`);
      }
      await nft('table inet mine {\n}\ntable ip kube-proxy-2 {\n}\n');
    }

    async function nft(input: string): Promise<void> {
      await faults.node.run('nft', ['-f', '-'], { input });
    }

    async function listed(): Promise<readonly string[]> {
      const { stdout } = await faults.node.run('nft', ['list', 'tables']);
      return stdout.split('\n').filter((line) => /kube-proxy|mine/.test(line));
    }

    function itemsOf(family: Family): readonly LoadItem[] {
      const to = (service: { readonly number: number }): ReturnType<typeof patient> =>
        patient('tcp', frontendsOf(service.number, family).clusterIP, servicePort);
      const { nodePort, loadBalancerIP } = frontendsOf(moved.number, family);
      const items: readonly LoadItem[] = [
        { title: 'pod to cluster IP', from: faults.pod('c'), to: to(moved), everyMs: 20 },
        { title: 'node to cluster IP', from: faults.node, to: to(moved), everyMs: 40 },
        { title: 'client to cluster IP', from: faults.outside, to: to(moved), everyMs: 40 },
        {
          title: 'client to node port',
          from: faults.outside,
          to: patient('tcp', faults.node.address(family), nodePort),
          everyMs: 30,
        },
        {
          title: 'client to load balancer',
          from: faults.outside,
          to: patient('tcp', loadBalancerIP, servicePort),
          everyMs: 60,
        },
        { title: 'pod to itself', from: faults.pod('a'), to: to(alone), everyMs: 30 },
      ];
      return items.map((item) => ({ ...item, title: `${item.title} over ${family}` }));
    }

    /** Who answers on every way to the Service that has moved. */
    async function answers(): Promise<readonly string[]> {
      const items = families.flatMap(itemsOf).filter(({ title }) => !title.startsWith('pod to itself'));
      return Promise.all(
        items.map(async ({ from, to }) => {
          const answer = await from.connect(to);
          return answer.kind === 'reply' ? answer.name : answer.kind;
        }),
      );
    }

    async function removed(weir: WeirProcess, from = 0): Promise<void> {
      for (const table of tables)
        await weir.waitForLine(new RegExp(`removed what kube-proxy in nftables mode.*${table}\\b`), { from });
    }

    test('are one after the other in force, and no connection fails', async () => {
      expect(new Set(await answers())).toEqual(new Set(['a']));
      const before = await faults.plan();
      expect(before).toMatchObject({ code: 2 });
      expect(before.lines).toContain(left);

      const items = families.flatMap(itemsOf);
      const load = await ServiceLoad.start(items, items);
      const weir = await faults.start();
      await removed(weir);
      const report = await load.stop();
      expect(report).toEqual({ ...report, failures: {}, brokenFlows: [] });
      const seen = families.map(
        (family) => report.items[`pod to itself over ${family}`]?.seenAddresses.join() ?? '',
      );
      expect(seen).toEqual(families.map((family) => faults.node.address(family)));

      expect(new Set(await answers())).toEqual(new Set(['b']));
      expect(await listed()).toEqual(['table inet mine', 'table ip kube-proxy-2']);
      expect((await faults.plan()).lines).toEqual(['IPv4: no change', 'IPv6: no change']);
      expect(weir.lines.filter((line) => /WARN|ERROR/.test(line))).toEqual([]);
      await faults.killAll();
    });

    test('tables that are restored while Weir runs are removed again, with a warning', async () => {
      const weir = await faults.start();
      await removed(weir);
      const from = weir.lines.length;
      await kubeProxyWas();
      await removed(weir, from);
      expect(await weir.waitForLine(/WARN.*It was removed before/, { from })).toContain(
        'restored from a file',
      );
      await expect
        .poll(answers, patience)
        .toEqual(families.flatMap(() => Array.from({ length: 5 }, () => 'b')));
      await faults.killAll();
    });

    test('a kube-proxy that runs is waited for, and keeps its tables', async () => {
      await faults.node.listen({ protocol: 'tcp', port: 10_256 });
      const weir = faults.launch();
      await weir.waitForLine(/another proxy \(port 10256 answers\) runs on this node/);
      expect(await listed()).toEqual(expect.arrayContaining(tables));
      expect(new Set(await answers())).toEqual(new Set(['a']));
      await faults.node.unlisten({ protocol: 'tcp', port: 10_256 });
      await removed(weir);
      expect(new Set(await answers())).toEqual(new Set(['b']));
      await faults.killAll();
    });

    test('weir cleanup removes the tables, but leaves them to the kube-proxy that takes over', async () => {
      await faults.cleanup();
      await kubeProxyWas();
      expect(await faults.cleanup('--hand-back')).toMatchObject({ code: 0 });
      expect(await listed()).toEqual(expect.arrayContaining(tables));
      const { code, lines } = await faults.cleanup();
      expect({ code, lines: lines.slice(-2) }).toEqual({
        code: 0,
        lines: tables.map((table) => `kube-proxy in nftables mode: removed ${table}`),
      });
      expect(await listed()).toEqual(['table inet mine', 'table ip kube-proxy-2']);
    });
  });
}
