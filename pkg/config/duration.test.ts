import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from './duration.ts';

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

test.each([
  [0, '0s'],
  [0.0005, '500ns'],
  [0.5, '500µs'],
  [250, '250ms'],
  [1500, '1.5s'],
  [30_000, '30s'],
  [90_000, '1m30s'],
  [900_000, '15m0s'],
  [86_400_000, '24h0m0s'],
])('%d ms are printed as Go does: %s', (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text);
});

test('what is printed is read as the same, to the nanosecond', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e15 }), (nanoseconds) => {
      expect(parseDuration(formatDuration(nanoseconds / 1e6))).toBe(nanoseconds / 1e6);
    }),
  );
});
