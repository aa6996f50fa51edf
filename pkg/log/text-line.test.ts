import { expect, test } from 'vitest';
import { textLine } from './text-line.ts';

const time = '2026-11-21T12:03:01.123Z';

test('writes time, level, message and fields in one line', () => {
  const record = { level: 'warn', time, table: 'nat', chains: 3, msg: 'rules are gone' };
  expect(textLine(JSON.stringify(record))).toBe('12:03:01.123 WARN  rules are gone table=nat chains=3\n');
});

test('quotes what would not read as one word, and keeps a record in one line', () => {
  const record = { level: 'info', time, error: 'no such\nfile', list: [1, 2], msg: 'two\nlines' };
  expect(textLine(JSON.stringify(record))).toBe(
    '12:03:01.123 INFO  two; lines error="no such\\nfile" list=[1,2]\n',
  );
});

test('lets through what is not a record', () => {
  expect(textLine('not json\n')).toBe('not json\n');
  expect(textLine('{"a":1}\n')).toBe('{"a":1}\n');
});
