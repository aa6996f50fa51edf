import { beforeEach, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { WeirError } from '../runtime/index.ts';
import type { Logger } from './logger.ts';
import { createLogger } from './logger.ts';

let lines: string[] = [];
let clock = new FakeClock();

beforeEach(() => {
  lines = [];
  clock = new FakeClock();
});

function logger(format: 'json' | 'text' = 'json', level: 'debug' | 'info' = 'info'): Logger {
  return createLogger({ level, format, clock, destination: { write: (line) => void lines.push(line) } });
}

function records(): readonly Record<string, unknown>[] {
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('writes one JSON object a line with level, time, message and fields', () => {
  logger().info('synced', { chains: 12 });
  expect(records()).toMatchObject([{ level: 'info', chains: 12, msg: 'synced' }]);
  expect(lines[0]).toMatch(/"time":"\d{4}-\d\d-\d\dT.*Z"/);
  expect(lines[0]?.endsWith('\n')).toBe(true);
});

test('writes lines for a terminal when told', () => {
  logger('text').info('synced', { chains: 12 });
  expect(lines[0]).toMatch(/^[\d:.]+ INFO {2}synced chains=12\n$/);
});

test('leaves out what is below the level', () => {
  logger().debug('detail');
  expect(lines).toEqual([]);
  logger('json', 'debug').debug('detail');
  expect(lines).toHaveLength(1);
});

test('adds the fields of a child to each of its lines', () => {
  logger().child({ family: 'IPv6' }).info('synced');
  expect(records()[0]).toMatchObject({ family: 'IPv6', msg: 'synced' });
});

test('names an error by its code, and shows where a stranger came from', () => {
  logger().error('sync failed', { error: new WeirError('WEIR_LOCK_HELD', 'busy') });
  logger().error('sync failed', { error: new TypeError('x is undefined') });
  expect(records()[0]).toMatchObject({ error: 'WEIR_LOCK_HELD: busy' });
  expect(records()[1]?.['error']).toMatch(/TypeError: x is undefined\n {4}at /);
});

test('says a repeated error once in half a minute, and then how often it was left out', async () => {
  const log = logger();
  const fail = (message: string): void =>
    log.error('sync failed', { error: new WeirError('WEIR_LOCK_HELD', message) });
  fail('busy');
  fail('busy');
  fail('another reason');
  await clock.advance(29_000);
  fail('busy');
  await clock.advance(2000);
  fail('busy');
  expect(records().map((record) => [record['error'], record['repeated']])).toEqual([
    ['WEIR_LOCK_HELD: busy', undefined],
    ['WEIR_LOCK_HELD: another reason', undefined],
    ['WEIR_LOCK_HELD: busy', 2],
  ]);
});

test('does not take the same words of two children for a repetition', () => {
  const log = logger();
  log.child({ family: 'IPv4' }).warn('rules are gone');
  log.child({ family: 'IPv6' }).warn('rules are gone');
  log.info('synced');
  log.info('synced');
  expect(lines).toHaveLength(4);
});

test('forgets old errors instead of remembering all of them for ever', () => {
  const log = logger();
  for (let index = 0; index <= 1000; index += 1) log.warn(`pod ${index} is odd`);
  log.warn('pod 0 is odd');
  expect(lines).toHaveLength(1002);
});

test.each(['json', 'text'] as const)(
  'shows what a terminal would obey, and cuts what is very long, as %s',
  (format) => {
    const nasty = 'a\u001b[2Jb\u009b1mc\u202ed\u2028e';
    logger(format).warn(`pod ${nasty}`, { name: nasty });
    expect(lines[0]).toMatch(/pod a\\u001b\[2Jb\\u009b1mc\\u202ed\\u2028e/);
    expect(lines[0]?.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u202e]/u);
    logger(format).error('x'.repeat(1_000_000));
    expect(lines[1]?.length).toBeLessThan(5000);
  },
);

test('reads as JSON what it was', () => {
  logger().warn('pod a\u001bb\u009bc\u202ed', { name: 'e\u2028f' });
  expect(records()[0]).toMatchObject({ msg: 'pod a\u001bb\u009bc\u202ed', name: 'e\u2028f' });
});
