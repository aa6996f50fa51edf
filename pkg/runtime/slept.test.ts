import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { slept } from './slept.ts';

test('says whether the time passed or somebody asked to stop', async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const whole = slept(clock, 1000, stop.signal);
  await clock.advance(1000);
  expect(await whole).toBe(true);
  const cut = slept(clock, 1000, stop.signal);
  stop.abort();
  expect(await cut).toBe(false);
  expect(await slept(clock, 1000, stop.signal)).toBe(false);
});
