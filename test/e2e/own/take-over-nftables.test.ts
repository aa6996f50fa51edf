import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { targetPort } from '../../support/service-manifests.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';
import { expectUnbroken, Shop } from './support/shop.ts';

const ownManifests = new URL('manifests/', import.meta.url).pathname;
const label = 'weir.dev/kube-proxy';
const tables = ['table ip kube-proxy', 'table ip6 kube-proxy'];

describe('a cluster with kube-proxy in nftables mode moves to Weir', () => {
  let lab: OwnLab;
  let shop: Shop;

  beforeAll(async () => {
    lab = await startOwnLab({ proxy: 'none' });
    // As a CNI plugin with port mappings does before there is any proxy: so kube-proxy's chains come before those of iptables.
    for (const { name } of lab.state.nodes)
      for (const tool of ['iptables', 'ip6tables'])
        await lab.exec(name, [
          'sh',
          '-ec',
          `${tool} -t nat -N PORTMAP; ${tool} -t nat -A PREROUTING -j PORTMAP`,
        ]);
    const manifest = await readFile(`${ownManifests}kube-proxy.yaml`, 'utf8');
    await lab.apply(manifest.replace('mode: iptables', 'mode: nftables'));
    await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
    shop = await Shop.open(lab);
    await shop.settled({ policies: false });
  });
  afterAll(() => lab.stop());

  async function proxyTables(node: string): Promise<readonly string[]> {
    const listed = (await lab.exec(node, ['nft', 'list', 'tables'])).split('\n');
    return listed.filter((line) => line.endsWith('kube-proxy'));
  }

  test('node by node, and no connection fails', async () => {
    for (const { name } of lab.state.nodes) expect(await proxyTables(name)).toEqual(tables);
    const report = await shop.whileOpen({ policies: false }, async () => {
      await lab.kubectl(['label', 'nodes', '--all', `${label}=true`]);
      const patch = JSON.stringify({
        spec: { template: { spec: { nodeSelector: { [label]: 'true' } } } },
      });
      const words = ['-n', 'kube-system', 'patch', 'daemonset', 'kube-proxy', '--type', 'merge'];
      await lab.kubectl([...words, '--patch', patch]);
      await lab.waitForRollout('daemonset/kube-proxy', 'kube-system');
      await lab.kubectl(['apply', '-k', `${ownManifests}weir-for-kubeadm`]);
      for (const { name } of lab.state.nodes) {
        await lab.waitFor(`Weir on ${name} to wait for the end of kube-proxy`, async () =>
          (await lab.weirLog(name)).includes(
            'another proxy (port 10256 and 10249 answers) runs on this node',
          ),
        );
        expect(await proxyTables(name)).toEqual(tables);
      }
      for (const { name } of lab.state.nodes) {
        await lab.kubectl(['label', 'node', name, `${label}-`]);
        await lab.waitFor(`kube-proxy's tables to go from ${name}`, async () => {
          const left = await proxyTables(name);
          return left.length === 0;
        });
      }
      await lab.waitForRollout('daemonset/weir', 'kube-system');
    });
    expectUnbroken(report);
  });

  test('is told in the log and by an Event of the Node', async () => {
    for (const { name } of lab.state.nodes) {
      const log = await lab.weirLog(name);
      for (const table of tables)
        expect(log).toMatch(
          new RegExp(`removed what kube-proxy in nftables mode had left in force: .*${table}`),
        );
      await lab.waitFor(`an Event of ${name}`, async () => {
        const events = await lab.kubectl([
          'get',
          'events',
          '-A',
          '--field-selector',
          `reason=LeftoversRemoved,involvedObject.name=${name}`,
        ]);
        return events.includes('table ip kube-proxy');
      });
    }
  });

  test('and an endpoint that goes gets nothing more', async () => {
    const address = shop.clusterIP('IPv4');
    const to = { protocol: 'tcp', address, port: targetPort, timeoutMs: 5000, count: 20 } as const;
    await lab.kubectl(['label', '--overwrite', 'pod', 'server-1', 'app=gone']);
    const answered = await lab.waitFor('only one server to answer', async () => {
      const names = Object.keys((await shop.network('client-1').burst(to)).replies);
      return names.length === 1 && names;
    });
    expect(answered).toEqual(['server-2']);
  });
});
