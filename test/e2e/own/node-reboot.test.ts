import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../../pkg/net/index.ts';
import { patient } from '../../support/service-load.ts';
import { targetPort } from '../../support/service-manifests.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';
import { Shop } from './support/shop.ts';
import { withoutRightTo } from './support/weir-role.ts';

const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];
const closedAtBoot = new URL('manifests/weir-closed-at-boot', import.meta.url).pathname;

describe('a node that is restarted', () => {
  let lab: OwnLab;
  let shop: Shop;

  beforeAll(async () => {
    lab = await startOwnLab();
    shop = await Shop.open(lab);
    await shop.settled({ policies: true });
  });
  afterAll(() => lab.stop());

  test('has its Services and policies again when it is back', async () => {
    await lab.reboot('node-1');
    await lab.waitForReadyPod(await lab.weirPod('node-1'), 'kube-system');
    await shop.reopenOn('node-1');
    expect(await shop.troubles({ policies: true })).toEqual([]);
  });

  test('with closedStart: boot, its pods are closed until Weir knows the policies', async () => {
    await lab.kubectl(['apply', '-k', closedAtBoot]);
    await lab.waitForRollout('daemonset/weir', 'kube-system', 120_000);
    await shop.settled({ policies: true });

    // So Weir's first step is done and its second, which needs them all, never is.
    const giveBack = await withoutRightTo(lab, 'networkpolicies');
    await lab.reboot('node-1');
    await lab.waitFor('Weir to look for policies', async () =>
      (await lab.weirLog('node-1')).includes('networkpolicies'),
    );
    expect(await lab.weirLog('node-1', 'set-up-node')).toContain(
      'pod ranges are closed until the policies are known',
    );
    await shop.reopenOn('node-1');
    for (const client of ['client-2', 'stranger'] as const) {
      for (const family of families) {
        const to = patient('tcp', shop.network('guarded').address(family), targetPort);
        const { kind } = await shop.network(client).connect({ ...to, timeoutMs: 1500 });
        expect({ client, family, kind }).toEqual({ client, family, kind: 'timeout' });
      }
    }

    await giveBack();
    await lab.waitForReadyPod(await lab.weirPod('node-1'), 'kube-system');
    expect(await shop.troubles({ policies: true })).toEqual([]);
  });
});
