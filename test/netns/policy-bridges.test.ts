import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { backends, canRunFaults } from '../support/fault-world.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { createPolicyLab, type PolicyLab, tried, triedAll } from '../support/policy-lab.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import type { PodNetworkMode } from '../support/world-layout.ts';

const patience = { timeout: 30_000, interval: 100 };
const settings = ['bridge-nf-call-iptables', 'bridge-nf-call-ip6tables'].map(
  (name) => `/proc/sys/net/bridge/${name}`,
);
/** Of all pods, only this one is closed. */
const closedToAll = policyManifest('closed', { podSelector: app('closed'), policyTypes: ['Ingress'] });

for (const backend of backends) {
  const canRun = canRunFaults(backend) && capabilities['bridge-netfilter'];

  async function labOf(mode: PodNetworkMode): Promise<PolicyLab> {
    return createPolicyLab(backend, {
      nodes: [{ name: 'node-a', mode, pods: ['a', 'b', 'closed'] }],
      clients: ['outside'],
    });
  }

  async function setBridges(lab: PolicyLab, value: 0 | 1): Promise<void> {
    await lab.node.run('sh', ['-ec', settings.map((path) => `echo ${value} >${path}`).join('\n')]);
  }

  async function bridgeSettings(lab: PolicyLab): Promise<string> {
    return (await lab.node.run('cat', settings)).stdout.replaceAll('\n', '');
  }

  /** Nobody can set them any more, as in a container whose /proc/sys is read-only. */
  async function freezeBridges(lab: PolicyLab, value: 0 | 1): Promise<() => Promise<void>> {
    const folder = await mkdtemp(join(tmpdir(), 'weir-sysctl-'));
    const file = join(folder, 'setting');
    await writeFile(file, `${value}\n`);
    await lab.node.run('sh', [
      '-ec',
      settings
        .map((path) => `mount --bind ${file} ${path} && mount -o remount,bind,ro ${file} ${path}`)
        .join('\n'),
    ]);
    return async () => {
      await lab.node.run('sh', ['-ec', settings.map((path) => `umount ${path}`).join('\n')]);
      await rm(folder, { recursive: true });
    };
  }

  describe.skipIf(!canRun)(`pods on one bridge, on the ${backend} backend,`, () => {
    let lab: PolicyLab;

    beforeAll(async () => {
      lab = await labOf('bridged');
    });
    afterAll(() => lab.dispose());
    beforeEach(() => setBridges(lab, 0));
    afterEach(() => lab.killAll());

    /** In the zone of the pod's only interface. */
    async function linkLocal(machine: NetworkNamespace, device = 'eth0'): Promise<string> {
      const { stdout } = await machine.run('ip', ['-6', '-brief', 'address', 'show', 'dev', device]);
      const [address] = /fe80:[0-9a-f:]+/.exec(stdout) ?? [];
      if (address === undefined) throw new Error(`${machine.name} has no link-local address: ${stdout}`);
      return address;
    }

    async function overLinkLocal(from: string, to: NetworkNamespace, device?: string): Promise<string> {
      const address = `${await linkLocal(to, device)}%eth0`;
      const results = (['tcp', 'udp'] as const).map((protocol) =>
        tried(lab.pod(from), to, 'IPv6', { protocol, address }),
      );
      return (await Promise.all(results)).join(' ');
    }

    test('meet the policies, because Weir sets what it takes', async () => {
      await lab.save('policies', closedToAll);
      expect(await bridgeSettings(lab)).toBe('00');
      await lab.start();
      expect(await bridgeSettings(lab)).toBe('11');
      await expect.poll(() => triedAll(lab.pod('a'), lab.pod('closed')), patience).toBe('timeout');
      expect(await triedAll(lab.pod('a'), lab.pod('b'))).toBe('b');
      expect(await triedAll(lab.pod('closed'), lab.pod('a'))).toBe('a');
      expect(await triedAll(lab.outside, lab.pod('closed'))).toBe('timeout');
      expect(await triedAll(lab.node, lab.pod('closed'))).toBe('closed');
    });

    test('talk by link-local addresses only while there is no policy', async () => {
      await lab.save('policies');
      await lab.start();
      expect(await overLinkLocal('a', lab.pod('closed'))).toBe('closed closed');
      await lab.save('policies', closedToAll);
      await expect.poll(() => overLinkLocal('a', lab.pod('closed')), patience).toBe('timeout timeout');
      // No policy names these addresses, so no policy can allow them: not to pods that are open either.
      expect(await overLinkLocal('a', lab.pod('b'))).toBe('timeout timeout');
      expect(await overLinkLocal('a', lab.node, 'cni0')).toBe('node-a node-a');
      await lab.save('policies');
      await expect.poll(() => overLinkLocal('a', lab.pod('closed')), patience).toBe('closed closed');
    });

    test('find their neighbours whatever the policies say', async () => {
      const closedBothWays = { podSelector: {}, policyTypes: ['Ingress', 'Egress'], egress: [] };
      const friends = { podSelector: { matchLabels: { app: 'a' } } };
      await lab.save(
        'policies',
        policyManifest('nothing', closedBothWays),
        policyManifest('to-b', {
          podSelector: app('a'),
          policyTypes: ['Egress'],
          egress: [{ to: [{ podSelector: app('b') }] }],
        }),
        policyManifest('from-a', { podSelector: app('b'), ingress: [{ from: [friends] }] }),
      );
      await lab.start();
      await expect.poll(() => triedAll(lab.pod('a'), lab.pod('closed')), patience).toBe('timeout');
      for (const machine of [lab.pod('a'), lab.pod('b'), lab.pod('closed'), lab.node]) {
        await machine.run('ip', ['neighbour', 'flush', 'all']);
      }
      expect(await triedAll(lab.pod('a'), lab.pod('b'))).toBe('b');
      const address = await linkLocal(lab.pod('closed'));
      expect(await overLinkLocal('a', lab.pod('closed'))).toBe('timeout timeout');
      const { stdout } = await lab.pod('a').run('ip', ['-6', 'neighbour', 'show', address]);
      expect(stdout).toMatch(/lladdr/);
    });

    test('make Weir say that it cannot hold policies, where the settings are 0 and stay so', async () => {
      const thaw = await freezeBridges(lab, 0);
      try {
        await lab.save('policies', closedToAll);
        const weir = lab.launch();
        const said = await weir.waitForLine(/not ready/);
        expect(said).toMatch(/cni0/);
        expect(said).toMatch(/bridge-nf-call-iptables/);
        // All else is held.
        await expect.poll(() => triedAll(lab.outside, lab.pod('closed')), patience).toBe('timeout');
        expect(weir.lines.filter((line) => /\bready:/.test(line))).toEqual([]);
        await thaw();
        await weir.waitForLine(/\bready:/);
        expect(await bridgeSettings(lab)).toBe('11');
        expect(await triedAll(lab.pod('a'), lab.pod('closed'))).toBe('timeout');
      } finally {
        await thaw().catch(() => undefined);
      }
    });

    test('need nobody to set anything where the settings are 1 already', async () => {
      const thaw = await freezeBridges(lab, 1);
      try {
        await lab.save('policies', closedToAll);
        const weir = await lab.start();
        expect(weir.lines.filter((line) => /bridge/.test(line))).toEqual([]);
      } finally {
        await thaw();
      }
    });
  });

  describe.skipIf(!canRun)(`routed pods, on the ${backend} backend,`, () => {
    let lab: PolicyLab;

    beforeAll(async () => {
      lab = await labOf('routed');
    });
    afterAll(() => lab.dispose());

    test('meet the policies whatever is said of bridges', async () => {
      await setBridges(lab, 0);
      const thaw = await freezeBridges(lab, 0);
      try {
        await lab.save('policies', closedToAll);
        await lab.start();
        await expect.poll(() => triedAll(lab.pod('a'), lab.pod('closed')), patience).toBe('timeout');
        expect(await triedAll(lab.pod('a'), lab.pod('b'))).toBe('b');
        expect(await triedAll(lab.pod('closed'), lab.pod('a'))).toBe('a');
      } finally {
        await thaw();
      }
    });
  });
}
