import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
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
import { KubeProxyNode } from '../support/kube-proxy-node.ts';
import { app, namespaceManifest, podManifest, policyManifest } from '../support/policy-manifests.ts';
import { rotating } from '../support/rotating.ts';
import { frontendsOf, type Manifest, servicePort, targetPort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const services = Object.values(liveServices);
const newcomer = { name: 'newcomer', number: 5, pods: ['c'] } as const;
const patience = { timeout: 60_000, interval: 300 };
/** Longer than it takes to look again whether the other one has gone, or to write what has changed. */
const aWhileMs = 2500;

for (const backend of rotating('fault-two-writers', backends)) {
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

    test(`no Service rule is written while somebody answers on port ${proxyPort}`, async () => {
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

    describe('with pods and a policy,', () => {
      const isolating = policyManifest('closed', { podSelector: app('c'), policyTypes: ['Ingress'] });
      const pods = (['a', 'b', 'c'] as const).map((name) => ({ name, node: 'node-a' }));
      let stop: AbortController;

      beforeEach(() => {
        stop = new AbortController();
      });
      afterEach(() => stop.abort());

      async function become(moved: 'a' | 'b', ...policies: readonly Manifest[]): Promise<void> {
        const objects = pods.map((pod) => podManifest({ ...pod, addresses: faults.pod(pod.name).addresses }));
        const alone = { ...liveServices.alone, pods: [moved] };
        await faults.setServices([liveServices.shop, alone], [namespaceManifest(), ...objects, ...policies]);
      }

      /** Who answers a client for the Service `alone`, and for pod c, in both families. */
      async function seen(): Promise<readonly string[]> {
        const attempts = families.flatMap((family) => {
          const { clusterIP } = frontendsOf(liveServices.alone.number, family);
          const service = { address: clusterIP, port: servicePort } as const;
          const pod = { address: faults.pod('c').address(family), port: targetPort } as const;
          return [service, pod].map((to) =>
            faults.outside.connect({ protocol: 'tcp', timeoutMs: 700, ...to }),
          );
        });
        return (await Promise.all(attempts)).map((answer) =>
          answer.kind === 'reply' ? answer.name : answer.kind,
        );
      }
      const serviceAndPod = (service: string, pod: string): readonly string[] => [service, pod, service, pod];

      const plan = async (): Promise<readonly string[]> => (await faults.plan()).lines;
      const noChange = ['IPv4: no change', 'IPv6: no change'];

      /** The nat table and kube-proxy's chains of the filter table: what is not Weir's while another proxy writes. */
      async function proxyRules(): Promise<Readonly<Record<string, unknown>>> {
        const { own, foreign } = await faults.rules();
        return Object.fromEntries(
          Object.entries({ ...own, ...foreign }).filter(([key]) => / nat | KUBE-/.test(key)),
        );
      }

      async function status(path: string): Promise<unknown> {
        const script = `const a = await fetch('http://127.0.0.1:10256${path}'); console.log(a.status, await a.text())`;
        const args = ['--input-type=module', '--eval', script];
        const [, code, body = ''] =
          /^(\d+) (.*)/.exec((await faults.node.run(process.execPath, args)).stdout) ?? [];
        return { code, problems: (JSON.parse(body) as { readonly problems?: unknown }).problems };
      }

      test('saved rules of kube-proxy times that somebody restores hold for two seconds', async () => {
        for (const family of families) {
          await kubeProxy.insertJumps(family);
          await kubeProxy.sync(family);
        }
        const saved = await Promise.all(families.map((family) => faults.save(family)));
        await faults.wipe();
        await become('b', isolating);
        const weir = await faults.start();
        await expect.poll(seen, patience).toEqual(serviceAndPod('b', 'timeout'));
        // As a firewall service does it: all that is in the tables goes.
        for (const [index, family] of families.entries())
          await faults.node.run(faults.tool(family, '-restore'), ['-w', '30'], { input: saved[index] ?? '' });
        expect((await seen())[0]).toBe('a');
        await expect.poll(seen, patience).toEqual(serviceAndPod('b', 'timeout'));
        await expect.poll(plan, patience).toEqual(noChange);
        for (const family of families)
          expect(
            weir.lines.filter((line) => line.includes(`WARN  ${family} KUBE-SEP- chains came back`)),
          ).toHaveLength(1);
        expect(errors(weir)).toEqual([]);
        expect(await status('/readyz')).toEqual({ code: '200' });
        expect(await weir.stop()).toEqual({ code: 0, signal: null });
      });

      test('a kube-proxy that lives keeps its Services, policies go on, and Weir recovers when it is gone', async () => {
        await become('a');
        const tools = await FaultyTools.mount(families.map((family) => faults.tool(family, '-save')));
        onTestFinished(() => tools.unmount());
        const weir = await faults.start();
        const running = kubeProxy.run(stop.signal);
        await weir.waitForLine(/ERROR another proxy writes IPv\d Service rules/, { timeoutMs: 60_000 });
        // What kube-proxy was about to write.
        await expect.poll(proxyRules, patience).toMatchObject({ 'IPv4 mangle KUBE-PROXY-CANARY': [] });
        const before = await proxyRules();
        const calls = (await tools.calls()).length;
        await become('b', isolating);
        await expect.poll(seen, patience).toEqual(serviceAndPod('a', 'timeout'));
        expect(await proxyRules()).toEqual(before);
        await become('b');
        await expect.poll(seen, patience).toEqual(serviceAndPod('a', 'c'));
        await become('b', isolating);
        await expect.poll(seen, patience).toEqual(serviceAndPod('a', 'timeout'));
        // Nothing that happens is a reason to look at the Services' table.
        const natReads = (await tools.calls()).slice(calls).filter((line) => line.includes('-t nat'));
        expect(natReads).toEqual([]);
        expect(errors(weir)).toHaveLength(1);
        const problems = [
          expect.stringMatching(/^services: standing back: another proxy writes IPv\d Service rules/),
        ];
        expect(await status('/livez')).toEqual({ code: '200', problems });
        expect(await status('/healthz')).toEqual({ code: '503', problems });
        expect(await status('/readyz')).toEqual({ code: '503', problems });
        stop.abort();
        await running;
        await weir.waitForLine(/recovered: Service rules are written again/, { timeoutMs: 120_000 });
        await expect.poll(seen, patience).toEqual(serviceAndPod('b', 'timeout'));
        await expect.poll(plan, patience).toEqual(noChange);
        expect(await status('/readyz')).toEqual({ code: '200' });
        expect(await weir.stop()).toEqual({ code: 0, signal: null });
      });

      test('Services come in behind the jump of policies, which stays first', async () => {
        const listener = { protocol: 'tcp', port: 10_256, address: '127.0.0.1' } as const;
        await faults.node.listen(listener);
        onTestFinished(() => faults.node.unlisten(listener).catch(() => undefined));
        for (const [family, source] of [
          ['IPv4', '192.0.2.1'],
          ['IPv6', '2001:db8::1'],
        ] as const)
          await faults.iptables(family, `-A FORWARD -s ${source} -j DROP`);
        await become('b', isolating);
        const weir = faults.launch();
        const forward = async (): Promise<readonly (readonly (string | undefined)[])[]> =>
          Promise.all(
            families.map(async (family) =>
              [...(await faults.save(family, '-t', 'filter')).matchAll(/^-A FORWARD .*-j (\S+)$/gm)].map(
                ([, target]) => target,
              ),
            ),
          );
        const behind = ['WEIR-FORWARD', 'DROP'];
        await expect.poll(forward, patience).toEqual([behind, behind]);
        await faults.node.unlisten(listener);
        await weir.waitForLine(/\bready:/, { timeoutMs: 60_000 });
        const jumps = ['KUBE-PROXY-FIREWALL', 'KUBE-FORWARD', 'KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES'];
        const whole = ['WEIR-FORWARD', ...jumps, 'DROP'];
        expect(await forward()).toEqual([whole, whole]);
        for (const family of families) {
          const saved = await faults.save(family, '-t', 'filter');
          const lines = [...saved.matchAll(/^-A (FORWARD .*-j KUBE-\S+)$/gm)].map(([, rule]) => `-D ${rule}`);
          await faults.iptables(family, ...lines);
        }
        await expect.poll(forward, patience).toEqual([whole, whole]);
        expect(await plan()).toEqual(noChange);
        expect(errors(weir)).toHaveLength(1);
      });

      test('policies are enforced while Weir waits for a proxy that runs already', async () => {
        const listener = { protocol: 'tcp', port: 10_256, address: '127.0.0.1' } as const;
        await faults.node.listen(listener);
        onTestFinished(() => faults.node.unlisten(listener).catch(() => undefined));
        const running = kubeProxy.run(stop.signal);
        await become('b', isolating);
        const weir = faults.launch();
        await weir.waitForLine(/another proxy \(port 10256 answers\) runs on this node/);
        await expect.poll(seen, patience).toEqual(serviceAndPod('a', 'timeout'));
        await become('b');
        await expect.poll(seen, patience).toEqual(serviceAndPod('a', 'c'));
        await become('b', isolating);
        expect(weir.lines.filter((line) => /service rules written|\bready:/.test(line))).toEqual([]);
        stop.abort();
        await running;
        await faults.node.unlisten(listener);
        await weir.waitForLine(/\bready:/, { timeoutMs: 60_000 });
        await expect.poll(seen, patience).toEqual(serviceAndPod('b', 'timeout'));
        await expect.poll(() => status('/readyz'), patience).toEqual({ code: '200' });
        expect(await plan()).toEqual(noChange);
        expect(await weir.stop()).toEqual({ code: 0, signal: null });
      });
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
      await weir.waitForLine(/reading the kernel: /);
      await faults.setServices([...services, newcomer]);
      await expect.poll(reachesNewcomer, patience).toBe('reply');
      expect(errors(weir)).toEqual([]);
    });
  });
}
