import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { patient } from '../../support/service-load.ts';
import { targetPort } from '../../support/service-manifests.ts';
import { serviceOf, yamlOf } from './support/objects.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';
import { expectUnbroken, Shop } from './support/shop.ts';

const frozenMs = 20_000;
const downMs = 40_000;

describe('while the API server is away', () => {
  let lab: OwnLab;
  let shop: Shop;

  beforeAll(async () => {
    lab = await startOwnLab();
    shop = await Shop.open(lab);
    await shop.settled({ policies: true });
  });
  afterAll(() => lab.stop());

  test('it has said before, with default settings on an etcd that is too old for streams, that it lists by pages', async () => {
    for (const { name } of lab.state.nodes) {
      const log = await lab.weirLog(name);
      expect(log).toMatch(/ INFO .*did not stream a list to its end.*RequestWatchProgress.*lists by pages/);
      expect(log).not.toMatch(/ (?:WARN|ERROR) .*(?:can't|may not) (?:list|watch)/);
    }
  });

  test('for a restart, no connection fails, no policy opens, and a new Service arrives behind it', async () => {
    const report = await shop.whileOpen({ policies: true }, async () => {
      await lab.program('kill', 'kube-apiserver');
      await lab.program('start', 'kube-apiserver');
      await apiServerAnswers();
      await newServiceAnswers('after-the-restart');
    });
    expectUnbroken(report);
  });

  test('for a minute, first silent, then gone, no connection fails, no policy opens, and changes arrive on its return', async () => {
    const report = await shop.whileOpen({ policies: true }, async () => {
      // Controllers that see the nodes' last signs of life only when all is over would take their pods for lost.
      await lab.program('kill', 'kube-controller-manager');
      await lab.program('freeze', 'kube-apiserver');
      await sleep(frozenMs);
      await lab.program('kill', 'kube-apiserver');
      await sleep(downMs);
      await lab.program('start', 'kube-apiserver');
      await apiServerAnswers();
      await lab.program('start', 'kube-controller-manager');
      await newServiceAnswers('after-the-outage');
    });
    expectUnbroken(report);

    await lab.kubectl(['label', 'pod', 'server-2', 'client-2', '--overwrite', 'app=off']);
    await lab.waitFor('the policy to know that client-2 is no client any more', async () => {
      const to = patient('tcp', shop.network('guarded').address('IPv4'), targetPort);
      return (await shop.network('client-2').connect({ ...to, timeoutMs: 500 })).kind === 'timeout';
    });
    await lab.waitFor('the Service to know that server-2 is no server any more', async () => {
      const to = { ...patient('tcp', shop.clusterIP('IPv4'), targetPort), count: 40 };
      const { replies } = await shop.network('client-1').burst(to);
      return Object.keys(replies).join() === 'server-1';
    });
    const pods = await lab.pods('app.kubernetes.io/name=weir', 'kube-system');
    expect(pods.map(({ status }) => status.containerStatuses?.[0]?.restartCount)).toEqual([0, 0]);
  });

  async function apiServerAnswers(): Promise<void> {
    await lab.waitFor(
      'the API server',
      async () => (await lab.kubectl(['get', '--raw', '/readyz'])) === 'ok',
    );
  }

  /** On both nodes. Nobody loses anything by it, as a UDP client may when an endpoint goes. */
  async function newServiceAnswers(name: string): Promise<void> {
    await lab.apply(yamlOf(serviceOf({ name, app: 'server' })));
    const { spec } = await lab.get<{ readonly spec: { readonly clusterIP: string } }>('service', name);
    const to = { ...patient('tcp', spec.clusterIP, targetPort), timeoutMs: 1000 };
    await lab.waitFor(`answers from ${name}`, async () => {
      const outcomes = await Promise.all(
        (['client-1', 'client-2'] as const).map((client) => shop.network(client).connect(to)),
      );
      return outcomes.every(({ kind }) => kind === 'reply');
    });
  }
});
