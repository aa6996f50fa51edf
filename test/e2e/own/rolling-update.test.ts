import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';
import { expectUnbroken, Shop } from './support/shop.ts';

let lab: OwnLab;
let shop: Shop;

beforeAll(async () => {
  lab = await startOwnLab();
  shop = await Shop.open(lab);
  await shop.settled({ policies: true });
});
afterAll(() => lab.stop());

test('a rolling update of Weir breaks no connection and opens no policy', async () => {
  const before = await podNames();
  const report = await shop.whileOpen({ policies: true }, async () => {
    const patch = { spec: { template: { metadata: { annotations: { 'example.com/update': 'one' } } } } };
    await lab.kubectl(['-n', 'kube-system', 'patch', 'daemonset', 'weir', '--patch', JSON.stringify(patch)]);
    await lab.waitForRollout('daemonset/weir', 'kube-system', 120_000);
  });
  const after = await podNames();
  expect(after).toHaveLength(before.length);
  expect(after.filter((name) => before.includes(name))).toEqual([]);
  expectUnbroken(report);
});

async function podNames(): Promise<readonly string[]> {
  const pods = await lab.pods('app.kubernetes.io/name=weir', 'kube-system');
  return pods.map(({ metadata }) => metadata.name);
}
