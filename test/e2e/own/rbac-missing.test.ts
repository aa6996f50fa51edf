import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { patient } from '../../support/service-load.ts';
import { targetPort } from '../../support/service-manifests.ts';
import { serviceOf, yamlOf } from './support/objects.ts';
import { isReady, type OwnLab, startOwnLab } from './support/own-lab.ts';
import { Shop, type ShopPod } from './support/shop.ts';
import { withoutRightTo } from './support/weir-role.ts';

describe('a Weir whose ClusterRole lacks networkpolicies', () => {
  let lab: OwnLab;
  let shop: Shop;

  beforeAll(async () => {
    lab = await startOwnLab();
    shop = await Shop.open(lab);
    await shop.settled({ policies: true });
  });
  afterAll(() => lab.stop());

  test('says so from the start, is not ready, writes nothing, and goes on when it may', async () => {
    const giveBack = await withoutRightTo(lab, 'networkpolicies');
    const old = await lab.weirPod('node-1');
    await lab.kubectl(['-n', 'kube-system', 'delete', 'pod', old]);
    const name = await lab.waitFor('the next pod of Weir', async () => {
      const name = await lab.weirPod('node-1');
      return name !== old && name;
    });
    await lab.waitFor('Weir to say what it may not', async () => (await complaints()) > 0);
    const before = await lab.rules('node-1');

    // The other node's Weir has been let in before, and shows that the Service is there to be written.
    await lab.apply(yamlOf(serviceOf({ name: 'late', app: 'server' })));
    await answers('client-2', 'late');
    expect(isReady(await lab.pod(name, 'kube-system'))).toBe(false);
    expect(await lab.rules('node-1')).toBe(before);
    expect(await shop.troubles({ policies: true })).toEqual([]);

    await giveBack();
    await lab.waitForReadyPod(name, 'kube-system');
    await answers('client-1', 'late');
    expect((await lab.pod(name, 'kube-system')).status.containerStatuses?.[0]?.restartCount).toBe(0);
  });

  test('keeps the policies that it knows when the right is taken away while it runs', async () => {
    const before = await complaints();
    const giveBack = await withoutRightTo(lab, 'networkpolicies');
    await lab.program('kill', 'kube-apiserver');
    await lab.program('start', 'kube-apiserver');
    await lab.waitFor(
      'the API server',
      async () => (await lab.kubectl(['get', '--raw', '/readyz'])) === 'ok',
    );
    await lab.waitFor('Weir to say what it may not', async () => (await complaints()) > before);
    expect(await shop.troubles({ policies: true })).toEqual([]);
    await giveBack();
    await lab.kubectl(['delete', 'networkpolicy', 'guarded']);
    await lab.waitFor('the end of the policy', async () => {
      const to = patient('tcp', shop.network('guarded').address('IPv4'), targetPort);
      return (await shop.network('stranger').connect({ ...to, timeoutMs: 1000 })).kind === 'reply';
    });
  });

  /** How often Weir on node-1 has said that it lacks the right. */
  async function complaints(): Promise<number> {
    const words = /WARN .* may not (list|watch) networkpolicies\.networking\.k8s\.io/u;
    return (await lab.weirLog('node-1')).split('\n').filter((line) => words.test(line)).length;
  }

  async function answers(client: ShopPod, service: string): Promise<void> {
    const { spec } = await lab.get<{ readonly spec: { readonly clusterIP: string } }>('service', service);
    await lab.waitFor(`answers from ${service} to ${client}`, async () => {
      const to = { ...patient('tcp', spec.clusterIP, targetPort), timeoutMs: 1000 };
      return (await shop.network(client).connect(to)).kind === 'reply';
    });
  }
});
