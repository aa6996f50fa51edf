import { expect, test } from 'vitest';
import { parseDuration } from './duration.ts';

test.each([
  ['0', 0],
  ['30s', 30_000],
  ['1m30s', 90_000],
  ['1h', 3_600_000],
  ['1.5s', 1500],
  ['250ms', 250],
  ['500us', 0.5],
])('%s is %d ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test.each(['', '30', 's', '-1s', '1 s', '1d', '1s30', '.5s'])('%j is not a duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});
