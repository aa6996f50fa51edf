import { beforeEach, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { ProxyHealth } from './proxy-health.ts';

let clock: FakeClock;
let health: ProxyHealth;
let wall: number;

beforeEach(() => {
  clock = new FakeClock();
  wall = 1_700_000_000_000;
  health = new ProxyHealth({ clock, wallClock: () => wall + clock.now(), syncPeriodMs: 30_000 });
});

test('is healthy before anybody reported', () => {
  expect(health.report()).toEqual({
    healthy: true,
    nodeEligible: true,
    lastUpdated: undefined,
    currentTime: wall,
    families: new Map(),
  });
});

test('a change may wait for two sync periods', async () => {
  health.updated('IPv4');
  health.queued('IPv4');
  await clock.advance(59_999);
  expect(health.isHealthy).toBe(true);
  await clock.advance(1);
  expect(health.isHealthy).toBe(false);
  health.updated('IPv4');
  expect(health.isHealthy).toBe(true);
});

test('the oldest change counts, however many come after it', async () => {
  health.updated('IPv4');
  health.queued('IPv4');
  for (let second = 0; second < 60; second++) {
    await clock.advance(1000);
    health.queued('IPv4');
  }
  expect(health.isHealthy).toBe(false);
});

test('an idle proxy stays healthy', async () => {
  health.updated('IPv4');
  await clock.advance(24 * 3_600_000);
  expect(health.isHealthy).toBe(true);
});

test('one family that is stuck is enough, and the other is seen to be well', async () => {
  for (const family of ['IPv4', 'IPv6'] as const) {
    health.updated(family);
    health.queued(family);
  }
  await clock.advance(60_000);
  health.updated('IPv4');
  const { healthy, lastUpdated, families } = health.report();
  expect(healthy).toBe(false);
  expect(lastUpdated).toBe(wall + 60_000);
  expect([...families]).toEqual([
    ['IPv4', { lastUpdated: wall + 60_000, healthy: true }],
    ['IPv6', { lastUpdated: wall, healthy: false }],
  ]);
});

test('a wall clock that jumps makes nothing overdue', async () => {
  health.updated('IPv4');
  health.queued('IPv4');
  wall += 86_400_000;
  await clock.advance(1000);
  expect(health.isHealthy).toBe(true);
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

test('is ready once told so, for as long as it is healthy', async () => {
  expect(health.isReady).toBe(false);
  health.updated('IPv4');
  health.setReady(true);
  expect(health.isReady).toBe(true);
  health.queued('IPv4');
  await clock.advance(60_000);
  expect(health.isReady).toBe(false);
  health.updated('IPv4');
  expect(health.isReady).toBe(true);
});
