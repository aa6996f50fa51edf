import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniResults } from '../support/cni-results.ts';
import { backends, canRunFaults } from '../support/fault-world.ts';
import { probePaths } from '../support/forbidden-probe.ts';
import { createPolicyLab, type PolicyLab, triedAll } from '../support/policy-lab.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 90_000, interval: 100 };

/** Only friends reach the API. */
const friendsPolicy = policyManifest('friends', {
  podSelector: app('api'),
  ingress: [{ from: [{ podSelector: app('friend') }] }],
});

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(
    `a result that the runtime forgot, on the ${backend} backend,`,
    () => {
      let lab: PolicyLab;
      let cni: CniResults;

      beforeAll(async () => {
        cni = await CniResults.create();
        lab = await createPolicyLab(backend, {
          nodes: [{ name: 'node-a', pods: ['api', 'friend', 'stranger'] }],
          clients: ['outside'],
        });
        await lab.save('policies', friendsPolicy);
      });
      afterAll(async () => {
        await lab.dispose();
        await cni.dispose();
      });
      afterEach(async () => {
        await lab.killAll();
        for (const pod of ['gone', 'friend']) await cni.remove(pod).catch(() => undefined);
      });

      const start = (): Promise<WeirProcess> => lab.start('node-a', `--cni-cache-dir=${cni.folder}`);

      function holds(): Promise<readonly string[]> {
        const [api, friend, stranger] = [lab.pod('api'), lab.pod('friend'), lab.pod('stranger')];
        return Promise.all([triedAll(friend, api), triedAll(friend, stranger), triedAll(stranger, api)]);
      }
      const held = ['api', 'stranger', 'timeout'];
      /** The friend's address may be another's: it has no permissions, and does not even talk. */
      const closed = ['timeout', 'timeout', 'timeout'];

      /** A pod that the API does not know (any more), with the address of one that lives. */
      const forget = (): Promise<void> => cni.add({ pod: 'gone', addresses: lab.pod('friend').addresses });

      test('takes nothing from a pod whose own result is there, though it is younger', async () => {
        const { addresses } = lab.pod('friend');
        await cni.add({ pod: 'friend', addresses });
        await forget();
        await cni.age('gone', -3600);
        await start();
        expect(await holds()).toEqual(held);
        const probe = await probePaths({ forbidden: [], allowed: [[lab.pod('friend'), lab.pod('api')]] });
        await cni.remove('gone');
        await forget();
        await cni.age('gone', 0);
        expect(await holds()).toEqual(held);
        expect((await probe.stop()).wrong).toEqual({});
      });

      test('takes nothing from a pod without result, when it is older than what the API tells', async () => {
        await forget();
        await cni.age('gone', 60);
        const weir = await start();
        expect(await holds()).toEqual(held);
        await weir.waitForLine(
          / WARN +Pod default\/gone: the CNI result of container container-gone .*default\/friend/,
        );
      });

      test('closes the address of a pod without result only until the API had its time', async () => {
        await start();
        await expect.poll(holds, patience).toEqual(held);
        await forget();
        await expect.poll(holds, patience).toEqual(closed);
        await expect.poll(holds, patience).toEqual(held);
      });
    },
  );
}
