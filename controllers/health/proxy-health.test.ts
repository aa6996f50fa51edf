import { beforeEach, describe, expect, test } from 'vitest';
import { WeirError } from '../../pkg/runtime/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { parts } from '../sync/part-ownership.ts';
import { ProxyHealth } from './proxy-health.ts';

let clock: FakeClock;
let health: ProxyHealth;
let wall: number;
let otherProxy: string | undefined;

beforeEach(() => {
  clock = new FakeClock();
  wall = 1_700_000_000_000;
  otherProxy = undefined;
  health = new ProxyHealth({
    parts,
    clock,
    wallClock: () => wall + clock.now(),
    syncPeriodMs: 30_000,
    standsBack: () => otherProxy,
  });
});

const families = ['IPv4', 'IPv6'] as const;

/** The loops run, and nothing is in the kernel yet. */
function start(): void {
  for (const family of families) for (const part of parts) health.started(family, part);
}

/** All is in the kernel. */
function settle(): void {
  for (const family of families) for (const part of parts) health.updated(family, part);
}

/** Healthy, live, ready. */
function answers(): readonly boolean[] {
  const { healthy, live } = health.report();
  return [healthy, live, health.isReady];
}

test('is healthy and not ready before the first complete state', () => {
  expect(health.report()).toEqual({
    healthy: true,
    live: true,
    nodeEligible: true,
    lastUpdated: undefined,
    currentTime: wall,
    families: new Map(),
    problems: [],
  });
  expect(health.notReady()).toEqual(['the state of the cluster is not complete yet']);
});

test.each(parts)('is ready when the last part is in the kernel: the %s', (last) => {
  start();
  for (const family of families)
    for (const part of parts) if (family !== 'IPv6' || part !== last) health.updated(family, part);
  expect(answers()).toEqual([true, true, false]);
  expect(health.notReady()).toEqual([`IPv6 ${last}: not in the kernel yet`]);
  health.updated('IPv6', last);
  expect(answers()).toEqual([true, true, true]);
});

test.each(parts)(
  'a first sync of the %s that never succeeds is neither healthy nor alive after two sync periods',
  async (part) => {
    start();
    settle();
    health.started('IPv4', part);
    health.failed('IPv4', part, new WeirError('WEIR_RESTORE_FAILED', 'line 2 failed'));
    await clock.advance(59_999);
    expect(answers()).toEqual([true, true, false]);
    await clock.advance(1);
    expect(answers()).toEqual([false, false, false]);
    expect(health.report().problems).toEqual([
      `IPv4 ${part}: not written for 60 s: WEIR_RESTORE_FAILED: line 2 failed`,
    ]);
    health.updated('IPv4', part);
    expect(answers()).toEqual([true, true, true]);
  },
);

test.each(parts)('a change of the %s may wait for two sync periods', async (part) => {
  settle();
  health.queued('IPv4', part);
  await clock.advance(59_999);
  expect(health.isHealthy).toBe(true);
  await clock.advance(1);
  expect(answers()).toEqual([false, false, false]);
  health.updated('IPv4', part);
  expect(answers()).toEqual([true, true, true]);
});

test('the oldest change counts, however many come after it', async () => {
  settle();
  health.queued('IPv4', 'services');
  for (let second = 0; second < 60; second++) {
    await clock.advance(1000);
    health.queued('IPv4', 'services');
  }
  expect(health.isHealthy).toBe(false);
});

test('an idle proxy stays healthy', async () => {
  settle();
  await clock.advance(24 * 3_600_000);
  expect(answers()).toEqual([true, true, true]);
});

test('one family that is stuck is enough, and the other is seen to be well', async () => {
  settle();
  for (const family of families) for (const part of parts) health.queued(family, part);
  await clock.advance(60_000);
  for (const part of parts) health.updated('IPv4', part);
  const { healthy, lastUpdated, families: found } = health.report();
  expect(healthy).toBe(false);
  expect(lastUpdated).toBe(wall + 60_000);
  expect([...found]).toEqual([
    ['IPv4', { lastUpdated: wall + 60_000, healthy: true, live: true }],
    ['IPv6', { lastUpdated: wall, healthy: false, live: false }],
  ]);
});

test('a family is as old as the part that was written longest ago', async () => {
  start();
  health.updated('IPv4', 'policies');
  expect(health.report().families.get('IPv4')?.lastUpdated).toBeUndefined();
  await clock.advance(5000);
  health.updated('IPv4', 'services');
  expect(health.report().families.get('IPv4')?.lastUpdated).toBe(wall);
});

test('a wall clock that jumps makes nothing overdue', async () => {
  settle();
  health.queued('IPv4', 'services');
  wall += 86_400_000;
  await clock.advance(1000);
  expect(health.isHealthy).toBe(true);
});

describe('while another proxy writes Service rules', () => {
  beforeEach(() => {
    settle();
    otherProxy = 'another proxy writes';
  });

  test('the node is neither healthy nor ready, a restart would not help, and it is over when the other is gone', async () => {
    for (const family of families) for (const part of parts) health.queued(family, part);
    for (const family of families) health.updated(family, 'policies');
    await clock.advance(3_600_000);
    expect(answers()).toEqual([false, true, false]);
    expect(health.report().problems).toEqual(['services: standing back: another proxy writes']);
    otherProxy = undefined;
    settle();
    expect(answers()).toEqual([true, true, true]);
  });

  test('policies that are not enforced are a matter of life all the same', async () => {
    health.queued('IPv4', 'policies');
    await clock.advance(60_000);
    expect(answers()).toEqual([false, false, false]);
  });
});

test('a family that is off is neither healthy nor ready: its policies are open', () => {
  health.started('IPv4', 'policies');
  health.updated('IPv4', 'policies');
  expect(answers()).toEqual([true, true, true]);
  health.setOff('IPv6', 'ip6tables-nft-save: out of memory');
  expect(answers()).toEqual([false, true, false]);
  expect(health.report().problems).toEqual([
    'IPv6 is off, its policies are not enforced: ip6tables-nft-save: out of memory',
  ]);
  health.setOff('IPv6', undefined);
  expect(answers()).toEqual([true, true, true]);
});

test('a family that the node does not have does not count, until it has', async () => {
  start();
  settle();
  for (const part of parts) health.absent('IPv6', part);
  await clock.advance(600_000);
  for (const part of parts) health.queued('IPv6', part);
  await clock.advance(600_000);
  expect(answers()).toEqual([true, true, true]);
  expect([...health.report().families.keys()]).toEqual(['IPv4']);
  for (const part of parts) health.updated('IPv6', part);
  expect([...health.report().families.keys()]).toEqual(['IPv4', 'IPv6']);
});

test('policies that packets do not meet are not in force', () => {
  settle();
  health.setObstacle("policies don't hold between pods on cni0: no br_netfilter");
  expect(answers()).toEqual([false, true, false]);
  expect(health.notReady()).toEqual(["policies don't hold between pods on cni0: no br_netfilter"]);
  health.setObstacle(undefined);
  expect(answers()).toEqual([true, true, true]);
});

test('knows the state of every part', () => {
  start();
  health.updated('IPv4', 'policies');
  health.failed('IPv6', 'policies', new Error('no'));
  otherProxy = 'another proxy writes';
  health.setOff('IPv6', 'no');
  const states = (): readonly string[] =>
    health.parts().map(({ family, part, state }) => `${family} ${part} ${state}`);
  expect(states()).toEqual([
    'IPv4 policies in_force',
    'IPv4 services standing_back',
    'IPv6 policies off',
    'IPv6 services off',
  ]);
  otherProxy = undefined;
  expect(states()[1]).toBe('IPv4 services starting');
  health.failed('IPv4', 'services', new Error('no'));
  expect(states()[1]).toBe('IPv4 services failing');
});

test.each([
  ['a node that is there', { exists: true, beingDeleted: false, toBeDeletedTaint: false }, true],
  ['no node', { exists: false, beingDeleted: false, toBeDeletedTaint: false }, false],
  ['a node that is being deleted', { exists: true, beingDeleted: true, toBeDeletedTaint: false }, false],
  ['a node the autoscaler takes away', { exists: true, beingDeleted: false, toBeDeletedTaint: true }, false],
])('%s: eligible or not, and healthy either way', (_, node, eligible) => {
  health.setNode(node);
  expect(health.report()).toMatchObject({ nodeEligible: eligible, healthy: true });
});

test('a part that is not asked for is neither reported nor waited for', () => {
  health = new ProxyHealth({
    parts: ['policies'],
    clock,
    wallClock: () => wall + clock.now(),
    syncPeriodMs: 30_000,
    standsBack: () => 'another proxy runs',
  });
  for (const family of families) health.started(family, 'policies');
  for (const family of families) health.updated(family, 'policies');
  expect(health.isReady).toBe(true);
  expect(health.report()).toMatchObject({ healthy: true, problems: [] });
  health.setOff('IPv6', 'no such program');
  expect(health.parts().map(({ family, part, state }) => [family, part, state])).toEqual([
    ['IPv4', 'policies', 'in_force'],
    ['IPv6', 'policies', 'off'],
  ]);
});
