import { beforeEach, describe, expect, test } from 'vitest';
import type { CanarySong } from './canary.ts';
import { CanarySignal } from './canary-signal.ts';

const both: CanarySong = { nat: true, filter: true };
const tables = [
  { family: 'IPv4', table: 'filter' },
  { family: 'IPv4', table: 'nat' },
] as const;
const none: CanarySong = { nat: false, filter: false };

describe('CanarySignal', () => {
  let songs: (CanarySong | Error)[];
  let afterwards: CanarySong | Error;
  let problems: string[];
  let stopped: number;
  let signal: CanarySignal;

  beforeEach(() => {
    songs = [];
    afterwards = both;
    problems = [];
    stopped = 0;
    signal = new CanarySignal({
      onProblem: (problem) => problems.push(problem),
      createCanary: () => ({
        sing: async () => {
          const song = songs.shift() ?? afterwards;
          if (song instanceof Error) throw song;
          return song;
        },
        stop: () => {
          stopped += 1;
        },
      }),
    });
  });

  async function ask(): Promise<readonly string[]> {
    const news = await signal.ask(tables);
    return tables.map(news);
  }

  test('a canary that sings says that its table is as it was', async () => {
    expect(await ask()).toEqual(['unchanged', 'unchanged']);
  });

  test.each([
    [{ nat: true, filter: false }, ['changed', 'unchanged']],
    [{ nat: false, filter: true }, ['unchanged', 'changed']],
    [none, ['changed', 'changed']],
  ])('one that is silent once, and then sings, says that its table was written: %o', async (song, news) => {
    songs = [song];
    expect(await ask()).toEqual(news);
    expect(await ask()).toEqual(['unchanged', 'unchanged']);
  });

  test('one that stays silent says nothing: its rules are gone, or it does not work here', async () => {
    afterwards = { nat: false, filter: true };
    expect(await ask()).toEqual(['unchanged', 'unknown']);
    afterwards = both;
    expect(await ask()).toEqual(['unchanged', 'unchanged']);
    expect(problems).toEqual([]);
  });

  test('one that cannot sing is a problem that is told once, with its reason', async () => {
    afterwards = new Error('bind EADDRINUSE 127.0.0.1:10249');
    for (let time = 0; time < 20; time += 1) expect(await ask()).toEqual(['unknown', 'unknown']);
    expect(problems).toEqual([
      'the canary of IPv4 filter is silent: bind EADDRINUSE 127.0.0.1:10249',
      'the canary of IPv4 nat is silent: bind EADDRINUSE 127.0.0.1:10249',
    ]);
    afterwards = both;
    await ask();
    afterwards = none;
    for (let time = 0; time < 20; time += 1) await ask();
    expect(problems).toHaveLength(4);
  });

  test('misses no canary in a table that the kernel does not have', async () => {
    afterwards = { nat: false, filter: true };
    const [filter] = tables;
    for (let time = 0; time < 20; time += 1) expect((await signal.ask([filter]))(filter)).toBe('unchanged');
    expect(problems).toEqual([]);
  });

  test('stops its canaries with itself', async () => {
    await ask();
    signal.stop();
    expect(stopped).toBe(1);
  });
});
