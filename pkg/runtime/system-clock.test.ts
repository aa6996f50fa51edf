import { expect, test } from 'vitest';
import { systemClock } from './system-clock.ts';

test('sleeps at least as long as asked', async () => {
  const before = systemClock.now();
  await systemClock.sleep(5);
  expect(systemClock.now() - before).toBeGreaterThanOrEqual(4);
});

test('wakes with the reason of the signal', async () => {
  const abort = new AbortController();
  const asleep = systemClock.sleep(60_000, abort.signal);
  abort.abort(new Error('enough'));
  await expect(asleep).rejects.toThrow('enough');
  await expect(systemClock.sleep(60_000, abort.signal)).rejects.toThrow('enough');
});

test('does not return at once from a sleep longer than the platform can count', async () => {
  const abort = new AbortController();
  const asleep = systemClock.sleep(Number.POSITIVE_INFINITY, abort.signal).then(
    () => 'slept',
    () => 'woken',
  );
  await systemClock.sleep(5);
  abort.abort();
  expect(await asleep).toBe('woken');
});
