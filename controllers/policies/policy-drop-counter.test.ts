import { beforeEach, expect, test } from 'vitest';
import { type NamespacedName, namespacedName } from '../../pkg/api/index.ts';
import type { FamilyTools } from '../../pkg/apply/index.ts';
import type { CommandResult } from '../../pkg/runtime/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeCommandRunner, fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { PolicyDropCounter } from './policy-drop-counter.ts';

const chain = 'WEIR-INGRESS-AAAAAAAAAAAAAAA';
const tools: FamilyTools = {
  family: 'IPv4',
  backend: 'nft',
  save: 'iptables-save',
  restore: 'iptables-restore',
  list: 'iptables',
};

let clock: FakeClock;
let commands: FakeCommandRunner;
let packets: number;
let answer: () => Partial<CommandResult>;
let policies: Map<string, readonly NamespacedName[]>;
let drops: unknown;
let profiles: unknown;
let errors: unknown[];
let counter: PolicyDropCounter;

beforeEach(() => {
  clock = new FakeClock();
  packets = 100;
  answer = () => ({ stdout: `*filter\n:${chain} - [0:0]\n[${packets}:0] -A ${chain} -j DROP\nCOMMIT\n` });
  commands = fakeCommandRunner({ 'iptables-save': () => answer() });
  policies = new Map([[chain, [namespacedName('shop', 'web'), namespacedName('shop', 'api')]]]);
  errors = [];
  counter = new PolicyDropCounter({
    clock,
    commands,
    tools: [tools],
    policiesOfChain: () => policies,
    metrics: {
      setDrops: (list) => {
        drops = list;
      },
      setProfiles: (list) => {
        profiles = list;
      },
    },
    onError: (error) => errors.push(error),
  });
});

const dropped = (count: number): unknown => [
  { direction: 'ingress', profile: 'AAAAAAAAAAAAAAA', packets: count },
];

test('counts in step with the kernel, and says which policies a profile is', async () => {
  void counter.start();
  await clock.advance(0);
  expect(drops).toEqual(dropped(0));
  expect(profiles).toEqual([
    { direction: 'ingress', profile: 'AAAAAAAAAAAAAAA', policies: 'shop/api,shop/web' },
  ]);
  packets = 130;
  await clock.advance(15_000);
  expect(drops).toEqual(dropped(30));
  // The chain was rewritten.
  packets = 2;
  await clock.advance(15_000);
  expect(drops).toEqual(dropped(32));
  counter.stop();
});

test('reads nothing while there is no policy', async () => {
  policies = new Map();
  void counter.start();
  await clock.advance(60_000);
  await counter.refresh();
  expect(commands.lines).toEqual([]);
  expect(drops).toEqual([]);
  counter.stop();
});

test('a scrape looks again only at what is old', async () => {
  void counter.start();
  await clock.advance(0);
  packets = 101;
  await clock.advance(4000);
  await counter.refresh();
  expect(drops).toEqual(dropped(0));
  await clock.advance(1000);
  await counter.refresh();
  expect(drops).toEqual(dropped(1));
  expect(commands.lines).toHaveLength(2);
  counter.stop();
});

test('a scrape does not wait for a machine that is stuck, and two ask once', async () => {
  let asked = 0;
  const stuck = new PolicyDropCounter({
    clock,
    commands: {
      run: () => {
        asked++;
        return new Promise(() => undefined);
      },
    },
    tools: [tools],
    policiesOfChain: () => policies,
    metrics: { setDrops: () => undefined, setProfiles: () => undefined },
    onError: (error) => errors.push(error),
  });
  const scrapes = Promise.all([stuck.refresh(), stuck.refresh()]);
  await clock.advance(1000);
  await scrapes;
  expect(asked).toBe(1);
});

test('what can not be read keeps its last count', async () => {
  void counter.start();
  await clock.advance(0);
  packets = 110;
  await clock.advance(15_000);
  const works = answer;
  answer = () => ({ exitCode: 1, stderr: 'no' });
  await clock.advance(15_000);
  expect(drops).toEqual(dropped(10));
  expect(errors).toHaveLength(1);
  answer = works;
  packets = 111;
  await clock.advance(15_000);
  expect(drops).toEqual(dropped(11));
  counter.stop();
});

test('a long list of policies is cut, and says so', async () => {
  const names = Array.from({ length: 100 }, (_, index) => namespacedName('shop', `policy-${100 + index}`));
  policies = new Map([[chain, names]]);
  await counter.refresh();
  const label = (profiles as readonly { policies: string }[])[0]?.policies ?? '';
  expect(label.startsWith('shop/policy-100,shop/policy-101,')).toBe(true);
  expect(label.endsWith(',+84 more')).toBe(true);
  expect(label.length).toBeLessThan(280);
});
