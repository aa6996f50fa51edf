import { beforeEach, expect, test } from 'vitest';
import { type NamespacedName, namespacedName } from '../../pkg/api/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { PolicyDropCounter } from './policy-drop-counter.ts';

const chain = 'WEIR-INGRESS-AAAAAAAAAAAAAAA';

let policies: Map<string, readonly NamespacedName[]>;
let drops: unknown;
let profiles: unknown;
let counter: PolicyDropCounter;

beforeEach(() => {
  policies = new Map([[chain, [namespacedName('shop', 'web'), namespacedName('shop', 'api')]]]);
  counter = new PolicyDropCounter({
    clock: new FakeClock(),
    policiesOfChain: () => policies,
    metrics: {
      setDrops: (list) => {
        drops = list;
      },
      setProfiles: (list) => {
        profiles = list;
      },
    },
  });
});

const saved = (packets: number): ReadonlyMap<Family, string> =>
  new Map([['IPv4', `*filter\n:${chain} - [0:0]\n[${packets}:0] -A ${chain} -j DROP\nCOMMIT\n`]]);
const dropped = (count: number): unknown => [
  { direction: 'ingress', profile: 'AAAAAAAAAAAAAAA', packets: count },
];

test('counts in step with the kernel, and says which policies a profile is', () => {
  counter.read(saved(100));
  expect(drops).toEqual(dropped(0));
  expect(profiles).toEqual([
    { direction: 'ingress', profile: 'AAAAAAAAAAAAAAA', policies: 'shop/api,shop/web' },
  ]);
  counter.read(saved(130));
  expect(drops).toEqual(dropped(30));
  // The chain was rewritten.
  counter.read(saved(2));
  expect(drops).toEqual(dropped(32));
});

test('shows nothing while there is no policy', () => {
  policies = new Map();
  counter.read(new Map([['IPv4', '*filter\nCOMMIT\n']]));
  expect(drops).toEqual([]);
  expect(profiles).toEqual([]);
});

test('what can not be read keeps its last count', () => {
  counter.read(saved(100));
  counter.read(saved(110));
  counter.read(new Map());
  expect(drops).toEqual(dropped(10));
  counter.read(saved(111));
  expect(drops).toEqual(dropped(11));
});

test('a long list of policies is cut, and says so', () => {
  const names = Array.from({ length: 100 }, (_, index) => namespacedName('shop', `policy-${100 + index}`));
  policies = new Map([[chain, names]]);
  counter.read(saved(0));
  const label = (profiles as readonly { policies: string }[])[0]?.policies ?? '';
  expect(label.startsWith('shop/policy-100,shop/policy-101,')).toBe(true);
  expect(label.endsWith(',+84 more')).toBe(true);
  expect(label.length).toBeLessThan(280);
});
