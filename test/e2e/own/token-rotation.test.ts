import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { patient } from '../../support/service-load.ts';
import { targetPort } from '../../support/service-manifests.ts';
import { serviceOf, yamlOf } from './support/objects.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';
import { Shop } from './support/shop.ts';
import { restartsOf, restartWeir } from './support/weir-process.ts';

const node = 'node-1';

// Tokens here are bound to a Secret each: when that is deleted, its token is revoked.
describe('when the token of a running Weir is not accepted any more', () => {
  let lab: OwnLab;
  let shop: Shop;
  let pod: string;

  beforeAll(async () => {
    lab = await startOwnLab();
    shop = await Shop.open(lab);
    await shop.settled({ policies: true });
    pod = await lab.weirPod(node);
    await replaceToken('first');
    await restartWeir(lab, node);
  });
  afterAll(() => lab.stop());

  test('it says so, keeps its rules, and goes on when the file holds another', async () => {
    await revoke('first');
    await lab.waitFor('Weir to say that it is not let in', async () =>
      (await lab.weirLog(node)).includes('(401)'),
    );
    const before = await lab.rules(node);
    await lab.apply(yamlOf(serviceOf({ name: 'late', app: 'server' })));
    expect(await shop.troubles({ policies: true })).toEqual([]);
    expect(await lab.rules(node)).toBe(before);

    await replaceToken('second');
    await answers('late');
    expect(await restartsOf(lab, pod)).toBe(1);
  });

  test('it takes the one that has replaced it in its file, without a word', async () => {
    await lab.waitFor('the end of complaints', async () => complaints(await lab.weirLog(node)).open === 0);
    const { begun } = complaints(await lab.weirLog(node));
    await replaceToken('third');
    await revoke('second');
    await lab.apply(yamlOf(serviceOf({ name: 'later', app: 'server' })));
    await answers('later');
    expect(complaints(await lab.weirLog(node))).toEqual({ begun, open: 0 });
    expect(await restartsOf(lab, pod)).toBe(1);
  });

  /** As the kubelet does long before a token expires. */
  async function replaceToken(secret: string): Promise<void> {
    await lab.kubectl(['-n', 'kube-system', 'create', 'secret', 'generic', secret]);
    const bound = ['--bound-object-kind', 'Secret', '--bound-object-name', secret];
    const token = await lab.kubectl(['-n', 'kube-system', 'create', 'token', 'weir', ...bound]);
    const { metadata } = await lab.pod(pod, 'kube-system');
    const script = `set -- /run/lab/pods/${metadata.uid}/volumes/*/token; cat >"$1"`;
    await lab.exec(undefined, ['sh', '-ec', script], { input: token });
  }

  /** The restart ends the connections that were let in, and what the API server remembers of tokens. */
  async function revoke(secret: string): Promise<void> {
    await lab.kubectl(['-n', 'kube-system', 'delete', 'secret', secret]);
    await lab.program('kill', 'kube-apiserver');
    await lab.program('start', 'kube-apiserver');
    await lab.waitFor(
      'the API server',
      async () => (await lab.kubectl(['get', '--raw', '/readyz'])) === 'ok',
    );
  }

  /** Complaints about the token, and how many of them are not over. */
  function complaints(log: string): { readonly begun: number; readonly open: number } {
    const lines = log.split('\n').filter((line) => line.includes('(401)'));
    const over = lines.filter((line) => line.includes('over: ')).length;
    return { begun: lines.length - over, open: lines.length - 2 * over };
  }

  async function answers(service: string): Promise<void> {
    const { spec } = await lab.get<{ readonly spec: { readonly clusterIP: string } }>('service', service);
    await lab.waitFor(`answers from ${service}`, async () => {
      const to = { ...patient('tcp', spec.clusterIP, targetPort), timeoutMs: 1000 };
      return (await shop.network('client-1').connect(to)).kind === 'reply';
    });
  }
});
