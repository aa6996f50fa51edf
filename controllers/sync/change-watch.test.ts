import { beforeEach, expect, test } from 'vitest';
import type { Table, TableNews } from '../../pkg/change-signal/index.ts';
import { ChangeWatch } from './change-watch.ts';

const table: Table = { family: 'IPv4', table: 'nat' };

let steps: { IPv4: number; IPv6: number };
/** What has happened since the signal was asked last. */
let happened: TableNews;
let asked: number;
let stopped: boolean;
let watch: ChangeWatch;

beforeEach(async () => {
  steps = { IPv4: 0, IPv6: 0 };
  happened = 'unchanged';
  asked = 0;
  stopped = false;
  const writer = (family: 'IPv4' | 'IPv6') => ({
    get writeSteps() {
      return steps[family];
    },
  });
  const signal = {
    ask: async () => {
      asked += 1;
      const news = happened;
      if (happened === 'changed') happened = 'unchanged';
      return () => news;
    },
    stop: () => {
      stopped = true;
    },
  };
  watch = new ChangeWatch(
    signal,
    new Map([
      ['IPv4', writer('IPv4')],
      ['IPv6', writer('IPv6')],
    ]),
    () => [table],
  );
  await watch.ask();
});

async function ask(): Promise<string> {
  return (await watch.ask())(table);
}

/** As a family does it; others may do something meanwhile. */
async function write(meanwhile: () => void = () => undefined): Promise<void> {
  await watch.aroundWrite();
  steps.IPv6 += 1;
  happened = 'changed';
  meanwhile();
  steps.IPv6 += 1;
  await watch.aroundWrite();
}

test('a change without a write of its own is one by others', async () => {
  happened = 'changed';
  expect(await ask()).toBe('changed by others');
  expect(await ask()).toBe('unchanged');
});

test('a write of its own is no change by others', async () => {
  await write();
  expect(await ask()).toBe('written');
  expect(await ask()).toBe('unchanged');
});

test.each(['before', 'after'])('a change by others right %s a write is told from it', async (when) => {
  if (when === 'before') happened = 'changed';
  await write();
  if (when === 'after') happened = 'changed';
  expect(await ask()).toBe('changed by others');
  expect(await ask()).toBe('unchanged');
});

test('what changes while one family writes may be its work, whoever asks', async () => {
  steps.IPv4 += 1;
  await write();
  happened = 'changed';
  expect(await ask()).toBe('written');
  happened = 'changed';
  expect(await ask()).toBe('written');
  steps.IPv4 += 1;
  happened = 'changed';
  expect(await ask()).toBe('written');
  happened = 'changed';
  expect(await ask()).toBe('changed by others');
});

test('writes do not wait for a signal that does not work', async () => {
  happened = 'unknown';
  expect(await ask()).toBe('unknown');
  asked = 0;
  await write();
  expect(asked).toBe(0);
});

test('a signal that failed once since the last time counts as failed', async () => {
  happened = 'unknown';
  await watch.aroundWrite();
  happened = 'unchanged';
  expect(await ask()).toBe('unknown');
  expect(await ask()).toBe('unchanged');
});

test('the signal is asked one question at a time, and stopped with the watch', async () => {
  const all = await Promise.all([watch.ask(), watch.aroundWrite(), watch.ask()]);
  expect(all).toHaveLength(3);
  watch.stop();
  expect(stopped).toBe(true);
});
