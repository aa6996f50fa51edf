import { expect, test } from 'vitest';
import { Backoff } from './backoff.ts';

test('doubles up to the maximum and starts over after a success', () => {
  const backoff = new Backoff({ initialMs: 100, maxMs: 500, random: () => 0 });
  expect([backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([100, 200, 400, 500]);
  expect(backoff.failures).toBe(4);
  backoff.reset();
  expect(backoff.next()).toBe(100);
});

test('shortens each delay by at most the jitter', () => {
  const shortest = new Backoff({ initialMs: 100, maxMs: 500, jitter: 0.25, random: () => 1 });
  expect(shortest.next()).toBe(75);
  expect(shortest.next()).toBe(150);
});

test('stays at the maximum after thousands of failures', () => {
  const backoff = new Backoff({ initialMs: 100, maxMs: 500, random: () => 0 });
  for (let count = 0; count < 5000; count += 1) backoff.next();
  expect(backoff.next()).toBe(500);
});
