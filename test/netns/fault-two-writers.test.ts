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
import { KubeProxyNode } from '../support/kube-proxy-node.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const services = Object.values(liveServices);
const newcomer = { name: 'newcomer', number: 5, pods: ['c'] } as const;
const patience = { timeout: 60_000, interval: 300 };
/** Longer than it takes to look again whether the other one has gone, or to write what has changed. */
const aWhileMs = 2500;

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(`more than one writer on the ${backend} backend`, () => {
    let faults: FaultWorld;
    let kubeProxy: KubeProxyNode;

    beforeAll(async () => {
      faults = await createFaultWorld(backend);
      kubeProxy = new KubeProxyNode(faults, services, { IPv4: 5, IPv6: 5 });
    });
    afterAll(() => faults.dispose());
    beforeEach(() => faults.setServices(services));
    afterEach(() => faults.wipe());

    const errors = (weir: WeirProcess): readonly string[] =>
      weir.lines.filter((line) => / ERROR /.test(line));

    async function reachesNewcomer(): Promise<string> {
      const { clusterIP } = frontendsOf(newcomer.number, 'IPv4');
      const to = { protocol: 'tcp', address: clusterIP, port: servicePort, timeoutMs: 1000 } as const;
      return (await faults.pod('a').connect(to)).kind;
    }

    const proxyPort = backend === 'legacy' ? 10_256 : 10_249;

    test(`nothing is written while somebody answers on port ${proxyPort}`, async () => {
      const listener = { protocol: 'tcp', port: proxyPort, address: '127.0.0.1' } as const;
      await faults.node.listen(listener);
      const before = await faults.rules();
      const weir = faults.launch();
      await weir.waitForLine(new RegExp(`another proxy.*${proxyPort}`));
      await systemClock.sleep(aWhileMs);
      expect(errors(weir)).toHaveLength(1);
      expect((await faults.rules()).own).toEqual(before.own);
      await faults.node.unlisten(listener);
      await weir.waitForLine(/\bready:/);
      expect((await faults.plan()).code).toBe(0);
    });

    test('one that waits for another proxy ends in order when it is told to', async () => {
      const listener = { protocol: 'tcp', port: 10_256, address: '127.0.0.1' } as const;
      await faults.node.listen(listener);
      const weir = faults.launch();
      await weir.waitForLine(/another proxy/);
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
      await faults.node.unlisten(listener);
    });

    test('a second Weir waits until the first is gone, and finds everything as it should be', async () => {
      const first = await faults.start();
      const second = faults.launch();
      await second.waitForLine(/another Weir runs/);
      await faults.setServices([...services, newcomer]);
      await expect.poll(reachesNewcomer, patience).toBe('reply');
      expect(errors(second)).toHaveLength(1);
      await first.kill();
      await second.waitForLine(/\bready:/);
      expect(second.lines.filter((line) => /rules written/.test(line))).toEqual([]);
    });

    test('cleanup refuses while Weir runs or another proxy answers, and then removes everything', async () => {
      const weir = await faults.start();
      const before = await faults.rules();
      const whileRunning = await faults.cleanup();
      expect(whileRunning).toMatchObject({
        code: 1,
        lines: [expect.stringMatching(/Weir (is running|runs) on this node/)],
      });
      await weir.stop();
      const listener = { protocol: 'tcp', port: 10_256, address: '127.0.0.1' } as const;
      await faults.node.listen(listener);
      const besideProxy = await faults.cleanup();
      expect(besideProxy).toMatchObject({ code: 1, lines: [expect.stringMatching(/another proxy/)] });
      expect(await faults.rules()).toEqual(before);
      await faults.node.unlisten(listener);
      expect(await faults.cleanup()).toMatchObject({ code: 0 });
      const { own, ownSets } = await faults.rules();
      // As after kube-proxy's own cleanup: the kubelet shares that chain.
      const left = Object.entries(own)
        .flat(2)
        .filter((text) => !/KUBE-FIREWALL|(INPUT|OUTPUT)$/.test(text));
      expect(left).toEqual([]);
      expect(ownSets).toEqual({});
    });

    test("when kube-proxy's chains come back it says so once and writes no more", async () => {
      const weir = await faults.start();
      for (const family of families) await kubeProxy.sync(family);
      await weir.waitForLine(/KUBE-SEP- chains came back/, { timeoutMs: 60_000 });
      // What was under way before is in the kernel by now; from here on the rules are kube-proxy's.
      for (const family of families) await kubeProxy.sync(family);
      const before = await faults.rules();
      await faults.setServices([...services, newcomer]);
      await systemClock.sleep(aWhileMs);
      await faults.setServices(services);
      await systemClock.sleep(aWhileMs);
      expect(await faults.rules()).toEqual(before);
      expect(errors(weir)).toHaveLength(1);
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
    });

    test("a chain of kube-proxy's that somebody refers to stays, and is no sign of kube-proxy", async () => {
      for (const family of families) {
        await kubeProxy.insertJumps(family);
        await kubeProxy.sync(family);
        const saved = await faults.save(family, '-t', 'nat');
        const chain = /^:(KUBE-SEP-\S+)/m.exec(saved)?.[1] ?? '';
        await faults.iptables(family, '-t nat -N ADMIN', `-t nat -A ADMIN -j ${chain}`);
      }
      const weir = await faults.start();
      await weir.waitForLine(/reading the kernel: it is time/);
      await faults.setServices([...services, newcomer]);
      await expect.poll(reachesNewcomer, patience).toBe('reply');
      expect(errors(weir)).toEqual([]);
    });
  });
}
