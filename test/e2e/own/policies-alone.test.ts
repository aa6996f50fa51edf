import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';
import { expectUnbroken, Shop } from './support/shop.ts';

const ownManifests = new URL('manifests/', import.meta.url).pathname;
const label = 'weir.dev/kube-proxy';
const policies = { policies: true } as const;

// What manifests/README.md says of policies beside kube-proxy, with upstream's kube-proxy.
describe.each(['iptables', 'nftables'] as const)('beside kube-proxy in %s mode', (mode) => {
  let lab: OwnLab;
  let shop: Shop;

  beforeAll(async () => {
    lab = await startOwnLab({ proxy: 'none' });
    const manifest = await readFile(`${ownManifests}kube-proxy.yaml`, 'utf8');
    await lab.apply(manifest.replace('mode: iptables', `mode: ${mode}`));
    await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
    shop = await Shop.open(lab);
    await shop.settled({ policies: false });
  });
  afterAll(() => lab.stop());

  const apply = (what: string): Promise<string> => lab.kubectl(['apply', '-k', `${ownManifests}${what}`]);

  /** kube-proxy's rules on a node, in the mode that it has. */
  async function proxyRules(node: string): Promise<readonly string[]> {
    const command =
      mode === 'nftables'
        ? 'nft -s list table ip kube-proxy'
        : 'iptables-save | grep -F KUBE- | grep -vF WEIR-';
    const lines = (await lab.exec(node, ['sh', '-c', command])).split('\n');
    return lines.map((line) => line.replace(/\[\d+:\d+\]/, '')).toSorted();
  }

  async function jumps(node: string): Promise<string> {
    return (
      await lab.exec(node, ['sh', '-c', 'iptables-save -t filter | grep -e "-A FORWARD" | head -1'])
    ).trim();
  }

  test('Weir enforces policies alone, and kube-proxy keeps all that it has', async () => {
    const [first] = lab.state.nodes;
    const node = first?.name ?? '';
    const before = await proxyRules(node);
    const report = await shop.whileOpen({ policies: false }, async () => {
      await apply('weir-policies-alone');
      await lab.waitForRollout('daemonset/weir', 'kube-system');
      await shop.settled(policies);
    });
    expectUnbroken(report);
    expect(await proxyRules(node)).toEqual(before);
    expect(await jumps(node)).toMatch(/-j WEIR-FORWARD$/);
    expect(await shop.troubles(policies)).toEqual([]);
    for (const { name } of lab.state.nodes) {
      const log = await lab.weirLog(name);
      expect(log).toContain('ready: every policy is in the kernel');
      expect(log).not.toMatch(/ (ERROR|WARN) /);
    }
  });

  test('moves to the whole of Weir, and back, while nothing fails and nothing forbidden passes', async () => {
    const whole = await shop.whileOpen(policies, async () => {
      await lab.kubectl(['label', 'nodes', '--all', `${label}=true`]);
      const patch = JSON.stringify({ spec: { template: { spec: { nodeSelector: { [label]: 'true' } } } } });
      const words = ['-n', 'kube-system', 'patch', 'daemonset', 'kube-proxy', '--type', 'merge'];
      await lab.kubectl([...words, '--patch', patch]);
      await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
      await apply('weir-for-kubeadm');
      await lab.kubectl(['label', 'nodes', '--all', `${label}-`]);
      await lab.waitForRollout('daemonset/weir', 'kube-system');
    });
    expectUnbroken(whole);
    expect(await shop.troubles(policies)).toEqual([]);

    const alone = await shop.whileOpen(policies, async () => {
      await apply('weir-policies-alone');
      await lab.waitForRollout('daemonset/weir', 'kube-system');
      await lab.kubectl(['label', 'nodes', '--all', '--overwrite', `${label}=true`]);
      await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
    });
    // kube-proxy in nftables mode removes all KUBE- chains of iptables before it writes its first rule: new connections fail meanwhile.
    const failures = mode === 'iptables' ? alone.load.failures : {};
    expectUnbroken({ ...alone, load: { ...alone.load, failures } });
    expect(await shop.troubles(policies)).toEqual([]);
  });
});
