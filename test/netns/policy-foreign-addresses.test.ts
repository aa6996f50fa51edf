import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CniResults } from '../support/cni-results.ts';
import { backends, canRunFaults, families } from '../support/fault-world.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { createPolicyLab, listen, type PolicyLab, tried, triedAll } from '../support/policy-lab.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import { parsePrometheusText } from '../support/prometheus-text.ts';
import { rotating } from '../support/rotating.ts';
import {
  endpointSlices,
  frontendsOf,
  type Manifest,
  nodeManifest,
  serviceManifest,
  servicePort,
} from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 100 };
const healthPort = { protocol: 'tcp', port: 10_256 } as const;
/** In the range of node-a, as address management of a CNI plugin's own may give them to any node. */
const farAddresses = ['10.244.1.200', 'fd00:10:244:1::c8'];
const awayAddresses = ['10.9.0.5', 'fd00:9::5'];

/** In a namespace without pods: it concerns nobody. */
const elsewhere: Manifest = {
  ...policyManifest('somewhere-else', { podSelector: {}, policyTypes: ['Ingress'] }),
  metadata: { name: 'somewhere-else', namespace: 'other' },
};
const onlyB = policyManifest('only-b', {
  podSelector: app('late'),
  ingress: [{ from: [{ podSelector: app('b') }] }],
});

for (const backend of rotating('policy-foreign-addresses', backends)) {
  describe.skipIf(!canRunFaults(backend))(
    `a pod elsewhere with an address of this node, on the ${backend} backend,`,
    () => {
      let lab: PolicyLab;
      let cni: CniResults;
      let stateDir: string;
      let a: NetworkNamespace;
      let b: NetworkNamespace;
      let far: NetworkNamespace;
      const extra: string[] = [];

      beforeAll(async () => {
        cni = await CniResults.create();
        stateDir = await mkdtemp(join(tmpdir(), 'weir-state-'));
        lab = await createPolicyLab(backend, {
          nodes: [
            { name: 'node-a', pods: ['a', 'b'] },
            { name: 'node-b', pods: [{ name: 'far', addresses: farAddresses }] },
          ],
          clients: ['outside'],
        });
        [a, b, far] = [lab.pod('a'), lab.pod('b'), lab.pod('far')];
        for (const family of families) {
          const via = lab.world.nodeNamed('node-b').address(family);
          await lab.node.run('ip', ['route', 'add', far.address(family), 'via', via, 'dev', 'eth0']);
          // Answers come back by the same way: half a TCP connection is none.
          const back = [lab.outside.address(family), 'via', lab.node.address(family), 'dev', 'eth0'];
          await lab.world.nodeNamed('node-b').run('ip', ['route', 'add', ...back]);
        }
        const node = nodeManifest('node-a', lab.node.addresses);
        await lab.save('node-node-a', { ...node, spec: { podCIDRs: lab.world.podCidrs('node-a') } });
        await lab.save(
          'services',
          serviceManifest({ name: 'far', number: 1, frontends: 'cluster-ip' }),
          ...endpointSlices('far', [{ pod: far, node: 'node-b' }]),
        );
      });
      afterAll(async () => {
        await lab.dispose();
        await cni.dispose();
        await rm(stateDir, { recursive: true, force: true });
      });
      beforeEach(async () => {
        await lab.save('policies');
        await lab.savePod({ name: 'far', node: 'node-b' });
      });
      afterEach(async () => {
        await lab.killAll();
        await Promise.all(
          extra.splice(0).map(async (name) => {
            await lab.world.removePod(name);
            await rm(lab.path(`pod-${name}`), { force: true });
            await cni.remove(name).catch(() => undefined);
          }),
        );
      });

      function start(...flags: readonly string[]): Promise<WeirProcess> {
        return lab.start('node-a', `--cni-cache-dir=${cni.folder}`, ...flags);
      }

      async function addPod(name: string, addresses?: readonly string[]): Promise<NetworkNamespace> {
        const pod = await lab.world.addPod(addresses === undefined ? name : { name, addresses });
        extra.push(name);
        await listen(pod);
        return pod;
      }

      async function enforced(...policies: readonly Manifest[]): Promise<void> {
        await lab.save('policies', ...policies);
        await agrees();
      }

      async function agrees(): Promise<void> {
        await expect
          .poll(() => lab.plan('node-a', `--cni-cache-dir=${cni.folder}`), patience)
          .toEqual(['IPv4: no change', 'IPv6: no change']);
      }

      async function askedService(): Promise<string> {
        const answers = families.map((family) =>
          tried(a, far, family, { address: frontendsOf(1, family).clusterIP, port: servicePort }),
        );
        return [...new Set(await Promise.all(answers))].join(' ');
      }

      /** From a pod here, the same by the Service, to a pod here, from the node, and from outside by way of this node. */
      function probes(): Promise<readonly string[]> {
        return Promise.all([
          triedAll(a, far),
          askedService(),
          triedAll(far, a),
          triedAll(lab.node, far),
          triedAll(lab.outside, far),
        ]);
      }
      const open = ['far', 'far', 'a', 'far', 'far'];
      const closed = ['timeout', 'timeout', 'timeout', 'far', 'timeout'];

      async function metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
        const script =
          "fetch('http://127.0.0.1:10249/metrics').then((answer) => answer.text()).then(console.log)";
        const { stdout } = await lab.node.run(process.execPath, ['-e', script]);
        const samples = parsePrometheusText(stdout).get(name)?.samples ?? [];
        return samples
          .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
          .reduce((sum, { value }) => sum + value, 0);
      }

      const linesOf = (weir: WeirProcess, pattern: RegExp): readonly string[] =>
        weir.lines.filter((line) => pattern.test(line));
      const mismatch = / WARN .*addresses of pods do not follow this node's pod ranges/;

      test('is not cut off by a policy in another namespace', async () => {
        const weir = await start();
        await agrees();
        expect(await probes()).toEqual(open);
        expect(linesOf(weir, mismatch)).toEqual([]);
        await enforced(elsewhere);
        expect(await probes()).toEqual(open);
        expect(linesOf(weir, mismatch)).toEqual([
          expect.stringMatching(
            /IPv4 .*\(10\.244\.1\.0\/24\): pod default\/far on node-b has 10\.244\.1\.200 inside/,
          ),
          expect.stringMatching(/IPv6 .*pod default\/far on node-b has fd00:10:244:1::c8 inside/),
        ]);
        expect(await metric('weir_closed_start_range_mismatch')).toBe(2);
        expect(await lab.planWarnings()).toEqual([
          expect.stringMatching(
            /^warning: Node node-a: spec\.podCIDRs: IPv4 addresses of pods do not follow/,
          ),
          expect.stringMatching(
            /^warning: Node node-a: spec\.podCIDRs: IPv6 addresses of pods do not follow/,
          ),
        ]);
        expect(await metric('weir_closed_start_dropped_packets_total')).toBe(0);
      });

      test.each(['off', 'boot'])('is not cut off with --policy-closed-start=%s', async (mode) => {
        await lab.save('policies', elsewhere);
        await start(`--policy-closed-start=${mode}`, `--state-dir=${stateDir}`);
        expect(await probes()).toEqual(open);
      });

      test('is closed as nobody until the API knows it, which is counted and named, and from then on never again', async () => {
        await lab.remove('pod-far');
        const weir = await start();
        await enforced(elsewhere);
        expect(await probes()).toEqual(closed);
        const named =
          /--policy-closed-start dropped packets of addresses that no known pod owns .*10\.244\.1\.0\/24/;
        for (const direction of ['egress', 'ingress'])
          await expect
            .poll(
              () => metric('weir_closed_start_dropped_packets_total', { direction, ip_family: 'IPv4' }),
              patience,
            )
            .toBeGreaterThan(0);
        await weir.waitForLine(named);
        await lab.savePod({ name: 'far', node: 'node-b' });
        await expect.poll(probes, patience).toEqual(open);
        expect(linesOf(weir, mismatch)).toHaveLength(2);
        await lab.remove('pod-far');
        await weir.waitForLine(/ INFO +recovered: IPv6 addresses of pods follow this node's pod ranges/);
        await agrees();
        expect(await probes()).toEqual(closed);
      });

      test('is open as well where a pod of this node has an address outside', async () => {
        await lab.remove('pod-far');
        const weir = await start();
        await enforced(elsewhere);
        const away = await addPod('away', awayAddresses);
        await lab.savePod({ name: 'away', node: 'node-a' });
        await weir.waitForLine(/IPv6 .*pod default\/away on node-a, this node, has fd00:9::5 outside/);
        await agrees();
        expect(await probes()).toEqual(open);
        expect([await triedAll(a, away), await triedAll(away, a)]).toEqual(['away', 'a']);
      });

      test('does not open what the runtime gave to pods that the API does not know', async () => {
        const weir = await start();
        await enforced(elsewhere, onlyB);
        const [late, stranger] = [await addPod('late'), await addPod('stranger', awayAddresses)];
        const from = weir.lines.length;
        await cni.add({ pod: 'late', addresses: late.addresses });
        await cni.add({ pod: 'stranger', addresses: stranger.addresses });
        await weir.waitForLine(/IPv6 policy rules written/, { from });
        const ends = (): Promise<readonly string[]> =>
          Promise.all([triedAll(a, late), triedAll(b, late), triedAll(late, a), triedAll(stranger, a)]);
        await expect.poll(ends, patience).toEqual(['timeout', 'timeout', 'timeout', 'timeout']);
        expect(await triedAll(lab.node, late)).toBe('late');
        await lab.savePod({ name: 'late', node: 'node-a' });
        await expect.poll(ends, patience).toEqual(['timeout', 'late', 'a', 'timeout']);
        expect(await probes()).toEqual(open);
        await agrees();
        // Without the results that a plan finds, what is closed because of them is a difference.
        expect(await lab.plan('node-a', `--cni-cache-dir=${stateDir}`)).toContain(
          '      - 10.9.0.5  # no object needs it now',
        );
      });

      test('is closed after the start of the node no longer than until the first sync of policies', async () => {
        const flags = ['--policy-closed-start=boot', `--state-dir=${stateDir}`];
        await start(...flags);
        await enforced(elsewhere);
        await lab.killAll();
        for (const tool of families.map((family) => lab.tool(family)))
          for (const table of ['filter', 'nat'])
            for (const what of ['-F', '-X']) await lab.node.run(tool, ['-w', '30', '-t', table, what]);
        await lab.node.run('ipset', ['destroy']);
        await lab.node.run('conntrack', ['-F']);
        await lab.node.listen(healthPort);
        const weir = lab.launch('node-a', ...flags);
        await weir.waitForLine(/another proxy/);
        // Policies do not wait for the other proxy, and with their first sync the closed ranges are what they should be; Services wait.
        await expect.poll(probes, patience).toEqual(['far', 'timeout', 'a', 'far', 'far']);
        await lab.node.unlisten(healthPort);
        await weir.waitForLine(/\bready:/, { timeoutMs: 60_000 });
        expect(await probes()).toEqual(open);
      });
    },
  );
}
