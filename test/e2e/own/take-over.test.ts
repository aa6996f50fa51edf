import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';
import { expectUnbroken, Shop } from './support/shop.ts';

const ownManifests = new URL('manifests/', import.meta.url).pathname;
const manifests = new URL('../../../manifests/', import.meta.url).pathname;
const label = 'weir.dev/kube-proxy';

// Step by step what manifests/README.md tells people to do, with its commands.
describe('a cluster that kubeadm made moves from kube-proxy', () => {
  let lab: OwnLab;
  let shop: Shop;

  beforeAll(async () => {
    lab = await startOwnLab({ proxy: 'none' });
    await lab.kubectl(['apply', '-f', `${ownManifests}kube-proxy.yaml`]);
    await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
    shop = await Shop.open(lab);
    await shop.settled({ policies: false });
  });
  afterAll(() => lab.stop());

  test('to Weir, node by node, and no connection fails', async () => {
    const report = await shop.whileOpen({ policies: false }, async () => {
      await lab.kubectl(['label', 'nodes', '--all', `${label}=true`]);
      await patchKubeProxy('merge', {
        spec: { template: { spec: { nodeSelector: { [label]: 'true' } } } },
      });
      await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
      await lab.kubectl(['apply', '-k', `${ownManifests}weir-for-kubeadm`]);
      for (const { name } of lab.state.nodes) await waitsForKubeProxy(name);
      await lab.kubectl(['label', 'node', 'node-1', `${label}-`]);
      await weirIsReady('node-1');
      await lab.kubectl(['label', 'nodes', '--all', `${label}-`]);
      await lab.waitForRollout('daemonset/weir', 'kube-system');
    });
    expectUnbroken(report);

    expect(await wantedPods('kube-proxy')).toBe(0);
    for (const { name } of lab.state.nodes) {
      expect(await differences(name)).toEqual(['IPv4: no change', 'IPv6: no change']);
      expect(await lab.exec(name, ['curl', '--silent', 'http://127.0.0.1:10249/proxyMode'])).toBe('iptables');
      expect(await lab.rules(name)).not.toContain('KUBE-SEP-');
    }
    await shop.settled({ policies: true });
  });

  test('and back to kube-proxy, and no connection fails', async () => {
    const report = await shop.whileOpen({ policies: false }, async () => {
      await lab.kubectl(['-n', 'kube-system', 'delete', 'daemonset', 'weir']);
      await lab.waitFor('the last pod of Weir to end', async () => {
        const pods = await lab.pods('app.kubernetes.io/name=weir', 'kube-system');
        return pods.length === 0;
      });
      await lab.kubectl(['label', 'nodes', '--all', '--overwrite', `${label}=true`]);
      await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
      await lab.kubectl(['apply', '-k', `${manifests}hand-back`]);
      await lab.waitForRollout('daemonset/weir-hand-back', 'kube-system');
      await lab.kubectl(['delete', '-k', `${manifests}hand-back`]);
      await lab.kubectl(['delete', '--ignore-not-found', '-k', manifests]);
      const path = `/spec/template/spec/nodeSelector/${label.replace('/', '~1')}`;
      await patchKubeProxy('json', [{ op: 'remove', path }]);
      await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
      await lab.kubectl(['label', 'nodes', '--all', `${label}-`]);
    });
    expectUnbroken(report);

    expect(await wantedPods('kube-proxy')).toBe(lab.state.nodes.length);
    for (const { name } of lab.state.nodes) {
      const rules = await lab.rules(name);
      expect(rules.split('\n').filter((line) => line.includes('WEIR'))).toEqual([]);
      expect(rules).toContain('KUBE-SEP-');
    }
    await shop.settled({ policies: false });
  });

  function patchKubeProxy(type: 'merge' | 'json', patch: unknown): Promise<string> {
    const words = ['-n', 'kube-system', 'patch', 'daemonset', 'kube-proxy', '--type', type];
    return lab.kubectl([...words, '--patch', JSON.stringify(patch)]);
  }

  async function waitsForKubeProxy(node: string): Promise<void> {
    await lab.waitFor(`Weir on ${node} to wait for the end of kube-proxy`, async () =>
      (await lab.weirLog(node)).includes('another proxy (port 10256 and 10249 answers) runs on this node'),
    );
  }

  async function weirIsReady(node: string): Promise<void> {
    await lab.waitForReadyPod(await lab.weirPod(node), 'kube-system');
  }

  async function wantedPods(daemonSet: string): Promise<number> {
    const { status } = await lab.get<{ readonly status: { readonly desiredNumberScheduled: number } }>(
      '-n',
      'kube-system',
      'daemonset',
      daemonSet,
    );
    return status.desiredNumberScheduled;
  }

  /** Between the cluster and the kernel, as `weir plan` finds them in Weir's pod. */
  async function differences(node: string): Promise<readonly string[]> {
    const plan = ['weir', 'plan', '--config=/var/lib/kube-proxy/config.conf', `--hostname-override=${node}`];
    const pod = await lab.weirPod(node);
    return (await lab.kubectl(['-n', 'kube-system', 'exec', pod, '-c', 'weir', '--', ...plan])).split('\n');
  }
});
