import { beforeEach, expect, test } from 'vitest';
import { noObserver, type ReflectorObserver } from '../../pkg/source/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { PodsAsOf } from './pods-as-of.ts';

let clock: FakeClock;
let pods: PodsAsOf;
let observer: ReflectorObserver;
let passedOn: string[];

beforeEach(() => {
  clock = new FakeClock();
  pods = new PodsAsOf(clock);
  passedOn = [];
  observer = pods.observer({
    ...noObserver,
    listed: (kind, ms, items) => passedOn.push(`listed ${kind} ${ms} ${items}`),
    watchStarted: (kind, reason) => passedOn.push(`watchStarted ${kind} ${reason}`),
    heard: (kind, at) => passedOn.push(`heard ${kind} ${at}`),
    failed: (kind, reason) => passedOn.push(`failed ${kind} ${reason}`),
  });
});

test('a list is as old as its request, and nothing is known before it', async () => {
  expect(pods.now()).toBe(Number.NEGATIVE_INFINITY);
  await clock.advance(5000);
  observer.listed('Pod', 2000, 10);
  expect(pods.now()).toBe(3000);
});

test('each word of a watch that has been open for half a minute says that nothing is missing', async () => {
  observer.listed('Pod', 0, 10);
  observer.watchStarted('Pod', 'first');
  await clock.advance(29_000);
  observer.heard('Pod', 0);
  expect(pods.now()).toBe(0);
  await clock.advance(1000);
  observer.heard('Pod', 0);
  expect(pods.now()).toBe(30_000);
  await clock.advance(60_000);
  expect(pods.now()).toBe(30_000);
});

test('a watch that begins again may have a backlog', async () => {
  observer.listed('Pod', 0, 10);
  observer.watchStarted('Pod', 'first');
  await clock.advance(600_000);
  observer.failed('Pod', 'network');
  observer.watchStarted('Pod', 'network');
  observer.heard('Pod', 0);
  expect(pods.now()).toBe(0);
  await clock.advance(60_000);
  observer.heard('Pod', 0);
  expect(pods.now()).toBe(660_000);
});

test('other kinds say nothing of pods', async () => {
  observer.watchStarted('Service', 'first');
  await clock.advance(60_000);
  observer.heard('Service', 0);
  observer.listed('Service', 0, 1);
  expect(pods.now()).toBe(Number.NEGATIVE_INFINITY);
});

test('everything is passed on', () => {
  observer.watchStarted('Pod', 'first');
  observer.listed('Pod', 1, 2);
  observer.heard('Pod', 3);
  observer.failed('Pod', 'gone');
  expect(passedOn).toEqual(['watchStarted Pod first', 'listed Pod 1 2', 'heard Pod 3', 'failed Pod gone']);
});
