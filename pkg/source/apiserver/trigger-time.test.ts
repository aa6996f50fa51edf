import { expect, test } from 'vitest';
import { triggerTimeOf } from './trigger-time.ts';

function slice(time: unknown): unknown {
  return { metadata: { annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': time } } };
}

test.each([
  ['2026-11-21T10:00:00Z', Date.UTC(2026, 10, 21, 10)],
  ['2026-11-21T10:00:00.25Z', Date.UTC(2026, 10, 21, 10) + 250],
  ['2026-11-21T12:00:00.123456789+02:00', Date.UTC(2026, 10, 21, 10) + 123.456789],
])('reads %s', (text, time) => {
  expect(triggerTimeOf(slice(text))).toBeCloseTo(time, 3);
});

test.each([
  ['no annotation', { metadata: {} }],
  ['no metadata', {}],
  ['a number', slice(17)],
  ['a date', slice('2026-11-21')],
  ['a month that is none', slice('2026-13-21T10:00:00Z')],
  ['no time zone', slice('2026-11-21T10:00:00')],
])('knows no time from %s', (_, raw) => {
  expect(triggerTimeOf(raw)).toBeUndefined();
});
