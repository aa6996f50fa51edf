import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  liveServices,
} from '../support/fault-world.ts';
import { fillerManifests, KubeProxyNode } from '../support/kube-proxy-node.ts';
import { rotating } from '../support/rotating.ts';
import {
  type LoadItem,
  type LoadReport,
  leakedPackets,
  leakRule,
  patient,
  ServiceLoad,
} from '../support/service-load.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const { shop, alone, sticky } = liveServices;
/** With three endpoints each: 5,000 chains, of which the program keeps the first 600. */
const fillers = { IPv4: 1250, IPv6: 100 } as const;
const kept = { IPv4: 600, IPv6: 50 } as const;

for (const backend of rotating('take-over', backends)) {
  describe.skipIf(!canRunFaults(backend))(`between kube-proxy and Weir on the ${backend} backend`, () => {
    let faults: FaultWorld;
    let kubeProxy: KubeProxyNode;
    let weir: WeirProcess;
    /** Whom each client with affinity met first. */
    let chosen: readonly string[];

    beforeAll(async () => {
      faults = await createFaultWorld(backend);
      kubeProxy = new KubeProxyNode(faults, Object.values(liveServices), fillers);
      for (const family of families) {
        await kubeProxy.insertJumps(family);
        await kubeProxy.sync(family);
        await faults.iptables(family, leakRule(family));
      }
      const more = families.flatMap((family) => fillerManifests(kept[family], family));
      await faults.setServices(Object.values(liveServices), more);
      chosen = await Promise.all(families.map(stickyAnswer));
    });
    afterAll(() => faults.dispose());

    async function stickyAnswer(family: Family): Promise<string> {
      const { clusterIP } = frontendsOf(sticky.number, family);
      const answer = await faults.pod('c').connect(patient('tcp', clusterIP, servicePort));
      return answer.kind === 'reply' ? answer.name : answer.kind;
    }

    function itemsOf(family: Family): readonly LoadItem[] {
      const address = (service: { readonly number: number }): string =>
        frontendsOf(service.number, family).clusterIP;
      const tcp = (service: { readonly number: number }) => patient('tcp', address(service), servicePort);
      const { nodePort, loadBalancerIP } = frontendsOf(shop.number, family);
      const throughNode = patient('tcp', faults.node.address(family), nodePort);
      const pace = family === 'IPv4' ? 1 : 3;
      const items: readonly LoadItem[] = [
        { title: 'pod to cluster IP', from: faults.pod('c'), to: tcp(shop), everyMs: 12 },
        {
          title: 'pod to cluster IP by UDP',
          from: faults.pod('c'),
          to: patient('udp', address(shop), servicePort),
          everyMs: 25,
        },
        { title: 'client to node port', from: faults.outside, to: throughNode, everyMs: 15 },
        { title: 'client to cluster IP', from: faults.outside, to: tcp(shop), everyMs: 25 },
        {
          title: 'client to load balancer',
          from: faults.outside,
          to: patient('tcp', loadBalancerIP, servicePort),
          everyMs: 50,
        },
        { title: 'node to cluster IP', from: faults.node, to: tcp(shop), everyMs: 25 },
        { title: 'pod to itself', from: faults.pod('a'), to: tcp(alone), everyMs: 15 },
        { title: 'client with affinity', from: faults.pod('c'), to: tcp(sticky), everyMs: 15 },
      ];
      return items.map((item) => ({
        ...item,
        title: `${item.title} over ${family}`,
        everyMs: item.everyMs * pace,
      }));
    }

    async function underLoad(work: () => Promise<void>): Promise<LoadReport> {
      const items = families.flatMap(itemsOf);
      const load = await ServiceLoad.start(items, items);
      try {
        await work();
      } catch (error) {
        await load.stop();
        throw error;
      }
      return load.stop();
    }

    function expected(report: LoadReport): LoadReport {
      return { ...report, failures: {}, brokenFlows: [], items: report.items };
    }

    /** What reached its endpoint, but not as it should have: with another source, or another endpoint. */
    function oddities(report: LoadReport): readonly string[] {
      return families.flatMap((family, index) => {
        const seen = (title: string): readonly string[] =>
          report.items[`${title} over ${family}`]?.seenAddresses ?? [];
        const names = Object.keys(report.items[`client with affinity over ${family}`]?.replies ?? {});
        return [
          ...[
            'client to node port',
            'client to cluster IP',
            'client to load balancer',
            'pod to itself',
          ].filter((title) => seen(title).join() !== faults.node.address(family)),
          ...['pod to cluster IP', 'client with affinity'].filter(
            (title) => seen(title).join() !== faults.pod('c').address(family),
          ),
          ...(names.join() === chosen[index]
            ? []
            : [`affinity: ${names.join()} instead of ${chosen[index]}`]),
        ].map((what) => `${family}: ${what}`);
      });
    }

    async function leaked(): Promise<readonly number[]> {
      const saved = families.map((family) => faults.save(family, '-c', '-t', 'mangle'));
      return (await Promise.all(saved)).map(leakedPackets);
    }

    async function kubeProxyChains(): Promise<number> {
      return Object.keys((await faults.rules()).own).filter((key) => key.includes('nat KUBE-SEP-')).length;
    }

    test('5,000 chains are taken over without one failed connection', async () => {
      expect(await kubeProxyChains()).toBeGreaterThan(4000);
      const report = await underLoad(async () => {
        weir = await faults.start();
      });
      expect(report).toEqual(expected(report));
      expect(oddities(report)).toEqual([]);
      expect(await leaked()).toEqual([0, 0]);
      expect(await kubeProxyChains()).toBe(0);
      expect((await faults.plan()).lines).toEqual(['IPv4: no change', 'IPv6: no change']);
      expect(weir.lines.filter((line) => /ERROR/.test(line))).toEqual([]);
    });

    test('kube-proxy finds its jumps, takes everything back in one restore, and no connection fails', async () => {
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
      for (const family of families) expect(await kubeProxy.missingJumps(family)).toEqual([]);
      const report = await underLoad(async () => {
        for (const family of families) await kubeProxy.sync(family);
        const before = await faults.rules();
        expect(await faults.cleanup('--hand-back')).toMatchObject({ code: 0 });
        const after = await faults.rules();
        expect(after).toEqual({ ...before, ownSets: {} });
      });
      expect(report).toEqual(expected(report));
      expect(oddities(report)).toEqual([]);
      expect(await leaked()).toEqual([0, 0]);
      expect(await kubeProxyChains()).toBeGreaterThan(4000);
    });

    test('a hand-back that has happened already has nothing left to do', async () => {
      const before = await faults.rules();
      const { code, lines } = await faults.cleanup('--hand-back');
      expect({ code, lines }).toEqual({
        code: 0,
        lines: families.map((family) => `${family} (${backend}): nothing to remove`),
      });
      expect(await faults.rules()).toEqual(before);
    });
  });
}
