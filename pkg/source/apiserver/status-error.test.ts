import { expect, test } from 'vitest';
import { statusError } from './status-error.ts';

const date = 'Sat, 21 Nov 2026 12:00:00 GMT';
const status = { kind: 'Status', reason: 'Forbidden', message: 'pods is forbidden', code: 403 };

test.each([
  ['seconds', { 'retry-after': '7' }, {}, 7000],
  ['seconds with spaces', { 'retry-after': ' 7 ' }, {}, 7000],
  ['no wait', { 'retry-after': '0' }, {}, 0],
  [
    'a date, counted by the clock of the server',
    { 'retry-after': 'Sat, 21 Nov 2026 12:00:30 GMT', date },
    {},
    30_000,
  ],
  ['a date that has passed', { 'retry-after': 'Sat, 21 Nov 2026 11:00:00 GMT', date }, {}, 0],
  [
    'a date without the time of the server',
    { 'retry-after': 'Sat, 21 Nov 2026 12:00:30 GMT' },
    {},
    undefined,
  ],
  ['a negative number', { 'retry-after': '-3' }, {}, undefined],
  ['no number', { 'retry-after': 'soon' }, {}, undefined],
  ['the first of two headers', { 'retry-after': ['3', '9'] }, {}, 3000],
  ['the Status alone', {}, { details: { retryAfterSeconds: 2 } }, 2000],
  ['the header before the Status', { 'retry-after': '7' }, { details: { retryAfterSeconds: 2 } }, 7000],
  ['nothing', {}, {}, undefined],
])('waits as asked by %s', (_, headers, more, expected) => {
  const text = JSON.stringify({ ...status, ...more });
  expect(statusError({ statusCode: 429, headers, text }).retryAfterMs).toBe(expected);
});

test('says what the Status says', () => {
  expect(statusError({ statusCode: 403, headers: {}, text: JSON.stringify(status) })).toMatchObject({
    code: 403,
    reason: 'Forbidden',
    message: 'the API server answered 403: pods is forbidden',
  });
});

test.each([
  ['a page of a proxy', '<html>\n<body>bad gateway', 'the API server answered 502: <html>'],
  ['nothing', '', 'the API server answered 502'],
  ['JSON of another kind', '{"error":"x"}', 'the API server answered 502: {"error":"x"}'],
  ['null', 'null', 'the API server answered 502: null'],
])('quotes %s', (_, text, message) => {
  expect(statusError({ statusCode: 502, headers: {}, text })).toMatchObject({
    code: 502,
    reason: '',
    message,
  });
});
