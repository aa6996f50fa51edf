import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
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
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { app, namespaceManifest, podManifest, policyManifest } from '../support/policy-manifests.ts';
import { frontendsOf, type Manifest, servicePort, targetPort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const { alone } = liveServices;
const patience = { timeout: 60_000, interval: 300 };
const alonePorts = { healthz: 10_356, metrics: 10_349 } as const;
const policiesAlone = ['--parts', 'policies'] as const;
/** Pod a is behind the Service: who may reach it, may so through both. */
const closed = policyManifest('closed', {
  podSelector: app('a'),
  ingress: [{ from: [{ podSelector: app('b') }] }],
});
const noChange = ['IPv4: no change', 'IPv6: no change'];

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(`policies alone on the ${backend} backend`, () => {
    let faults: FaultWorld;
    let kubeProxy: KubeProxyNode;
    let stop: AbortController;
    let running: Promise<void>;

    beforeAll(async () => {
      faults = await createFaultWorld(backend);
      kubeProxy = new KubeProxyNode(faults, [alone], { IPv4: 3, IPv6: 3 });
    });
    afterAll(() => faults.dispose());
    beforeEach(async () => {
      await become(closed);
      stop = new AbortController();
      running = kubeProxy.run(stop.signal);
      for (const port of [10_256, 10_249])
        await faults.node.listen({ protocol: 'tcp', port, address: '127.0.0.1' });
      await expect.poll(proxyWritten, patience).toBe(true);
    });
    afterEach(async () => {
      await endKubeProxy();
      await faults.wipe();
    });

    async function endKubeProxy(): Promise<void> {
      stop.abort();
      await running;
      for (const port of [10_256, 10_249])
        await faults.node.unlisten({ protocol: 'tcp', port, address: '127.0.0.1' }).catch(() => undefined);
    }

    async function proxyWritten(): Promise<boolean> {
      const saved = await Promise.all(families.map((family) => faults.save(family)));
      return saved.every((text) => text.includes('-A KUBE-SEP-') && text.includes('-A FORWARD'));
    }

    async function become(...policies: readonly Manifest[]): Promise<void> {
      const pods = (['a', 'b', 'c'] as const).map((name) =>
        podManifest({ name, node: 'node-a', addresses: faults.pod(name).addresses }),
      );
      await faults.setServices([alone], [namespaceManifest(), ...pods, ...policies]);
    }

    /** Who answers b, c and a client outside: through the Service, and straight. */
    async function seen(): Promise<Readonly<Record<string, readonly string[]>>> {
      const clients = { b: faults.pod('b'), c: faults.pod('c'), outside: faults.outside };
      const entries = Object.entries(clients).map(async ([name, client]) => {
        const answers = families.flatMap((family) => {
          const { clusterIP } = frontendsOf(alone.number, family);
          const pod = { address: faults.pod('a').address(family), port: targetPort };
          return [{ address: clusterIP, port: servicePort }, pod].map((to) =>
            client.connect({ protocol: 'tcp', timeoutMs: 700, ...to }),
          );
        });
        return [name, (await Promise.all(answers)).map(({ kind }) => kind)] as const;
      });
      return Object.fromEntries(await Promise.all(entries));
    }
    const four = (kind: string): readonly string[] => Array.from({ length: 4 }, () => kind);
    const enforced = { b: four('reply'), c: four('timeout'), outside: four('timeout') };
    const open = { b: four('reply'), c: four('reply'), outside: four('reply') };

    /** Everything that is not Weir's: tables, chains, jumps and sets. */
    async function others(): Promise<readonly string[]> {
      const texts = await Promise.all(families.map((family) => faults.save(family)));
      const sets = (await faults.node.run('ipset', ['list', '-n'])).stdout;
      return `${texts.join('\n')}\n${sets}`
        .split('\n')
        .map((line) => line.replace(/\[\d+:\d+\]/, ''))
        .filter((line) => !/WEIR-|^#|^$/.test(line));
    }

    async function get(
      port: number,
      path: string,
    ): Promise<{ readonly code: number; readonly text: string }> {
      const script = `const a = await fetch('http://127.0.0.1:${port}${path}'); console.log(JSON.stringify({ code: a.status, text: await a.text() }))`;
      const { stdout } = await faults.node.run(process.execPath, ['--input-type=module', '--eval', script]);
      return JSON.parse(stdout) as { readonly code: number; readonly text: string };
    }

    const plan = async (...flags: readonly string[]): Promise<readonly string[]> =>
      (await faults.plan(...flags)).lines.filter((line) => !/^(warning|hint): /.test(line));
    const errors = (weir: WeirProcess): readonly string[] =>
      weir.lines.filter((line) => / (ERROR|WARN) /.test(line));

    async function jumps(): Promise<readonly (readonly string[])[]> {
      const texts = await Promise.all(families.map((family) => faults.save(family, '-t', 'filter')));
      return texts.map((text) =>
        [...text.matchAll(/^-A FORWARD .*-j (\S+)$/gm)].map(([, target = '']) => target),
      );
    }

    test('hold for direct traffic and behind a Service, and nothing of a living kube-proxy is touched', async () => {
      const before = await others();
      expect(await seen()).toEqual(open);
      const tools = await FaultyTools.mount(families.map((family) => faults.tool(family, '-save')));
      const weir = await faults.start(...policiesAlone);
      await expect.poll(seen, patience).toEqual(enforced);
      expect(await others()).toEqual(before);
      expect(
        Object.keys((await faults.rules()).own).filter((key) => / (nat|mangle) WEIR-/.test(key)),
      ).toEqual([]);
      expect((await jumps()).map(([first]) => first)).toEqual(['WEIR-FORWARD', 'WEIR-FORWARD']);
      expect(await plan(...policiesAlone)).toEqual(noChange);
      await become();
      await expect.poll(seen, patience).toEqual(open);
      await become(closed);
      await expect.poll(seen, patience).toEqual(enforced);
      // Another kube-proxy's start puts its jumps in front.
      for (const family of families) {
        const saved = await faults.save(family, '-t', 'filter');
        const lines = [...saved.matchAll(/^-A (FORWARD .*-j KUBE-FORWARD)$/gm)].map(([, rule = '']) => rule);
        await faults.iptables(family, ...lines.flatMap((rule) => [`-D ${rule}`, `-I ${rule}`]));
      }
      const first = async (): Promise<readonly (string | undefined)[]> => (await jumps()).map(([one]) => one);
      await expect.poll(first, patience).toEqual(['WEIR-FORWARD', 'WEIR-FORWARD']);
      expect(await seen()).toEqual(enforced);
      expect((await tools.calls()).filter((line) => line.includes('-t nat'))).toEqual([]);
      await tools.unmount();
      expect(await get(alonePorts.healthz, '/readyz')).toMatchObject({ code: 200 });
      expect(await get(alonePorts.healthz, '/livez')).toMatchObject({ code: 200 });
      expect(await get(alonePorts.healthz, '/healthz')).toMatchObject({ code: 200 });
      expect((await get(alonePorts.metrics, '/proxyMode')).code).toBe(404);
      const { text: metrics } = await get(alonePorts.metrics, '/metrics');
      expect(metrics).not.toMatch(/kubeproxy_|services|for="service"/);
      expect(metrics).toMatch(/^weir_part_state\{.*part="policies".*state="in_force".*\} 1$/m);
      expect(errors(weir).filter((line) => !/repaired (in )?filter FORWARD/.test(line))).toEqual([]);
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
      const cleaned = await faults.cleanup(...policiesAlone);
      expect(cleaned).toMatchObject({ code: 0 });
      await expect.poll(seen, patience).toEqual(open);
      const { own, ownSets } = await faults.rules();
      expect(Object.keys(own).filter((key) => key.includes('WEIR-'))).toEqual([]);
      expect(ownSets).toEqual({});
    });

    // No kernel that runs the tests has IPVS. What it sends on has the source of the client and the address of the pod, and goes through OUTPUT.
    test('judge what IPVS would send on by its client, and nothing that the node sends itself', async () => {
      const weir = await faults.start(...policiesAlone);
      const verdicts = async (client: NetworkNamespace): Promise<readonly string[]> =>
        Promise.all(families.map((family) => sendFrom(client.address(family), family)));
      expect(await verdicts(faults.pod('b'))).toEqual(['sent', 'sent']);
      expect(await verdicts(faults.pod('c'))).toEqual(['dropped', 'dropped']);
      expect(await verdicts(faults.node)).toEqual(['sent', 'sent']);
      await weir.stop();
    });

    /** Sends a datagram to pod a from the node, with this source, whoever has it; a drop in OUTPUT is an error of the call. */
    async function sendFrom(source: string, family: Family): Promise<string> {
      const script = [
        'use Errno; use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);',
        'my ($from, $to, $port, $six) = @ARGV;',
        'my $family = $six ? AF_INET6 : AF_INET;',
        'sub where { my ($ip, $port) = @_; my $bytes = inet_pton($family, $ip); $six ? pack_sockaddr_in6($port, $bytes) : pack_sockaddr_in($port, $bytes) }',
        'socket(my $socket, $family, SOCK_DGRAM, 0) or die;',
        '# IP_TRANSPARENT, IPV6_TRANSPARENT',
        'setsockopt($socket, $six ? 41 : 0, $six ? 75 : 19, 1) or die "transparent: $!";',
        'bind($socket, where($from, 0)) or die "bind: $!";',
        'print send($socket, "x", 0, where($to, $port)) ? "sent" : $!{EPERM} ? "dropped" : "$!";',
      ].join('\n');
      const to = faults.pod('a').address(family);
      const args = ['-e', script, source, to, String(targetPort), family === 'IPv6' ? '1' : '0'];
      return (await faults.node.run('perl', args)).stdout;
    }

    test('become the whole of Weir when kube-proxy is gone, and policies alone again when it is back', async () => {
      const first = await faults.start(...policiesAlone);
      await expect.poll(seen, patience).toEqual(enforced);
      await first.stop();
      const whole = faults.launch();
      await whole.waitForLine(/another proxy \(port 10256 and 10249 answers\) runs on this node/);
      expect(await seen()).toEqual(enforced);
      await endKubeProxy();
      await whole.waitForLine(/\bready:/, { timeoutMs: 60_000 });
      expect(await seen()).toEqual(enforced);
      expect((await others()).filter((line) => line.includes('KUBE-SEP-'))).toEqual([]);
      expect(await plan()).toEqual(noChange);
      await whole.stop();

      const again = await faults.start(...policiesAlone);
      expect(await plan(...policiesAlone)).toEqual(noChange);
      stop = new AbortController();
      for (const family of families) {
        await kubeProxy.insertJumps(family);
        await kubeProxy.sync(family);
      }
      const refused = await faults.cleanup();
      expect(refused).toMatchObject({ code: 1, lines: [expect.stringMatching(/Weir runs on this node/)] });
      // The part that no Weir has is handed back while policies go on.
      expect(await faults.cleanup('--parts', 'services', '--hand-back')).toMatchObject({ code: 0 });
      await expect.poll(seen, patience).toEqual(enforced);
      const { own, ownSets } = await faults.rules();
      const ofServices = Object.keys(ownSets).filter(
        (name) => !/-(INGRESS|EGRESS|KNOWN|CLOSED|PODS|NETS|PORTS)(-|$)/.test(name),
      );
      expect(ofServices).toEqual([]);
      expect(
        Object.values(own)
          .flat()
          .filter((line) => /match-set WEIR-.*KUBE-|-A KUBE-.*match-set WEIR-/.test(line)),
      ).toEqual([]);
      await become();
      await expect.poll(seen, patience).toEqual(open);
      expect(await again.stop()).toEqual({ code: 0, signal: null });
    });

    test('one Weir has the policies of a node, another one its Services', async () => {
      const policies = await faults.start(...policiesAlone);
      await endKubeProxy();
      const services = await faults.start('--parts', 'services');
      const second = faults.launch(...policiesAlone);
      await second.waitForLine(/another Weir runs/);
      expect(await seen()).toEqual(enforced);
      for (const part of ['policies', 'services']) expect(await plan('--parts', part)).toEqual(noChange);
      await become();
      await expect.poll(seen, patience).toEqual(open);
      for (const weir of [policies, services, second])
        expect(await weir.stop()).toMatchObject({ signal: null });
    });
  });
}
