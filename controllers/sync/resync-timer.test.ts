import { beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type Resync, ResyncTimer } from './resync-timer.ts';

let clock: FakeClock;
let timer: ResyncTimer;

beforeEach(() => {
  clock = new FakeClock();
  timer = new ResyncTimer(clock, 30_000);
});

/** After how many seconds it is due; sets that are due before are compared in no time. */
async function secondsUntil(what: Resync): Promise<number> {
  for (let seconds = 0; ; seconds += 1) {
    const due = timer.due();
    if (due === what) return seconds;
    if (due === 'everything') return Number.NaN;
    if (due === 'sets') timer.done('sets', 0);
    await clock.advance(1000);
  }
}

describe('without a signal', () => {
  test('everything is due once in a sync period', async () => {
    timer.signalled(false);
    expect(await secondsUntil('everything')).toBe(30);
    timer.done('everything', 50);
    timer.signalled(false);
    expect(await secondsUntil('everything')).toBe(30);
  });

  test('everything is due less often where reading is slow, and the sets in between', async () => {
    timer.done('everything', 2000);
    timer.signalled(false);
    expect(await secondsUntil('everything')).toBe(100);
    timer.done('everything', 2000);
    timer.signalled(false);
    timer.done('sets', 20);
    expect(await secondsUntil('sets')).toBe(30);
  });
});

describe('with a signal', () => {
  beforeEach(() => {
    timer.signalled(true);
  });

  test('only the sets are due while no rule changes, and yet everything once in an hour', async () => {
    timer.done('everything', 50);
    expect(await secondsUntil('sets')).toBe(30);
    timer.done('everything', 50);
    expect(await secondsUntil('everything')).toBe(3600);
  });

  test.each([
    [50, 30],
    [2000, 100],
    [60_000, 600],
  ])('everything is due after a write of Weir´s own, where reading takes %d ms', async (readMs, seconds) => {
    timer.done('everything', readMs);
    timer.changed('by Weir');
    expect(await secondsUntil('everything')).toBe(seconds);
    timer.done('everything', readMs);
    expect(await secondsUntil('everything')).toBe(3600);
  });

  test.each([
    [50, 10],
    [2000, 100],
  ])(
    'everything is due earlier after a change by others, yet not all the time, where reading takes %d ms',
    async (readMs, seconds) => {
      timer.done('everything', readMs);
      timer.changed('by others');
      timer.changed('by Weir');
      expect(await secondsUntil('everything')).toBe(seconds);
    },
  );

  test('everything is due soon when the signal was lost meanwhile', async () => {
    timer.done('everything', 50);
    timer.signalled(false);
    timer.signalled(true);
    expect(await secondsUntil('everything')).toBe(10);
    timer.done('everything', 50);
    expect(await secondsUntil('everything')).toBe(3600);
  });

  test('a comparison while it is lost is not the last one', async () => {
    timer.signalled(false);
    timer.done('everything', 50);
    timer.signalled(true);
    expect(await secondsUntil('everything')).toBe(10);
  });

  test('large sets are compared less often', async () => {
    timer.done('everything', 400);
    timer.done('sets', 400);
    expect(await secondsUntil('sets')).toBe(100);
  });
});

test('a short sync period is kept', async () => {
  timer = new ResyncTimer(clock, 2000);
  timer.signalled(true);
  timer.changed('by others');
  expect(await secondsUntil('everything')).toBe(2);
});

test('a long sync period is kept', async () => {
  timer = new ResyncTimer(clock, 7_200_000);
  timer.signalled(true);
  expect(await secondsUntil('everything')).toBe(7200);
});

test('what was wanted and failed is wanted again after a sync period', async () => {
  timer.done('everything', 10_000);
  timer.signalled(false);
  await secondsUntil('everything');
  timer.wanted('everything');
  timer.signalled(false);
  expect(await secondsUntil('everything')).toBe(30);
});
