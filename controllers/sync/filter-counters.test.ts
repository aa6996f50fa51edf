import { beforeEach, expect, test } from 'vitest';
import type { FamilyTools } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeCommandRunner, fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { FilterCounters, type FilterCountersOptions } from './filter-counters.ts';
import { parts } from './part-ownership.ts';

const tools = (family: Family, save: string): FamilyTools => ({
  family,
  backend: 'legacy',
  save,
  restore: 'unused',
  list: 'unused',
});

let clock: FakeClock;
let isBroken: boolean;
let isWorthwhile: boolean;
let commands: FakeCommandRunner;
let options: FilterCountersOptions;
let readings: (readonly (readonly [Family, string])[])[];
let errors: unknown[];
let counters: FilterCounters;

beforeEach(() => {
  clock = new FakeClock();
  isBroken = false;
  isWorthwhile = true;
  commands = fakeCommandRunner({
    save4: () => (isBroken ? { exitCode: 1 } : { stdout: 'four' }),
    save6: () => ({ stdout: 'six' }),
  });
  readings = [];
  errors = [];
  options = {
    clock,
    commands,
    parts,
    tools: () => [tools('IPv4', 'save4'), tools('IPv6', 'save6')],
    isWorthwhile: () => isWorthwhile,
    onRead: (saved) => readings.push([...saved]),
    onError: (error) => errors.push(error),
  };
  counters = new FilterCounters(options);
});

test('reads both families once in a while', async () => {
  void counters.start();
  await clock.advance(15_000);
  counters.stop();
  const both = [
    ['IPv4', 'four'],
    ['IPv6', 'six'],
  ];
  expect(readings).toEqual([both, both]);
});

test('reads nothing while that is not worthwhile, until somebody asks', async () => {
  isWorthwhile = false;
  void counters.start();
  await clock.advance(60_000);
  expect(commands.lines).toEqual([]);
  await counters.refresh();
  counters.stop();
  expect(readings).toHaveLength(1);
});

test('a scrape looks again only at what is old', async () => {
  void counters.start();
  await clock.advance(4000);
  await counters.refresh();
  expect(readings).toHaveLength(1);
  await clock.advance(1000);
  await counters.refresh();
  expect(readings).toHaveLength(2);
  counters.stop();
});

test('a scrape does not wait for a machine that is stuck, and two ask once', async () => {
  let asked = 0;
  const stuck = new FilterCounters({
    ...options,
    tools: () => [tools('IPv4', 'save4')],
    commands: {
      run: () => {
        asked += 1;
        return new Promise(() => undefined);
      },
    },
  });
  const scrapes = Promise.all([stuck.refresh(), stuck.refresh()]);
  await clock.advance(1000);
  await scrapes;
  expect(asked).toBe(1);
});

test('one family that can not be read does not keep the other back', async () => {
  isBroken = true;
  await counters.refresh();
  expect(readings).toEqual([[['IPv6', 'six']]]);
  expect(errors).toEqual([expect.objectContaining({ code: 'WEIR_SAVE_FAILED' })]);
});

test('says nothing any more once it is stopped', async () => {
  const scrape = counters.refresh();
  counters.stop();
  await scrape;
  expect(readings).toEqual([]);
  expect(errors).toEqual([]);
});
