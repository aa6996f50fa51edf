import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import type { ChangeSignal } from './change-signal.ts';
import { RulesetListener } from './ruleset-listener.ts';

const pid = 4711;
const table = { family: 'IPv4', table: 'nat' } as const;

describe('RulesetListener', () => {
  let procRoot: string;
  let clock: FakeClock;
  let problems: string[];
  let starts: number;
  let ends: number;
  let canStart: boolean;
  let listener: ChangeSignal;

  beforeEach(() => {
    procRoot = mkdtempSync(join(tmpdir(), 'weir-proc-'));
    mkdirSync(join(procRoot, 'net'));
    mkdirSync(join(procRoot, String(pid), 'fd'), { recursive: true });
    symlinkSync('/dev/null', join(procRoot, String(pid), 'fd', '0'));
    symlinkSync('socket:[22]', join(procRoot, String(pid), 'fd', '4'));
    clock = new FakeClock();
    problems = [];
    [starts, ends, canStart] = [0, 0, true];
    // Somebody else listens, too.
    sockets('12 99 00000040 0 0 0 2 0 21', '12 4711 00000040 0 0 0 2 0 22');
    listener = new RulesetListener({
      clock,
      procRoot,
      onProblem: (problem) => problems.push(problem),
      startProgram: () => {
        starts += 1;
        return {
          started: async () => (canStart ? pid : undefined),
          stop: async () => canStart,
          end: () => {
            ends += 1;
          },
        };
      },
    });
  });
  afterEach(() => {
    listener.stop();
    rmSync(procRoot, { recursive: true });
  });

  function sockets(...rows: readonly string[]): void {
    const head = 'sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode';
    const lines = [head, ...rows.map((row) => `0000000000000000 ${row}`)];
    writeFileSync(join(procRoot, 'net', 'netlink'), `${lines.join('\n')}\n`);
  }

  async function ask(): Promise<string> {
    return (await listener.ask([table]))(table);
  }

  async function listening(): Promise<void> {
    await ask();
    await clock.advance(0);
    expect(await ask()).toBe('unknown');
  }

  test('knows nothing until it listens, and of the time before', async () => {
    expect(await ask()).toBe('unknown');
    await clock.advance(0);
    expect(await ask()).toBe('unknown');
    expect(await ask()).toBe('unchanged');
    expect(starts).toBe(1);
  });

  test('notices what waits in its socket, once, and nobody else´s', async () => {
    await listening();
    sockets('12 99 00000040 5000 0 0 2 7 21', '12 4711 00000040 0 0 0 2 0 22');
    expect(await ask()).toBe('unchanged');
    sockets('12 4711 00000040 832 0 0 2 0 22');
    expect(await ask()).toBe('changed');
    expect(await ask()).toBe('unchanged');
  });

  test('notices what is lost once its socket is full', async () => {
    await listening();
    for (const drops of [1, 2, 500]) {
      sockets(`12 4711 00000040 212928 0 0 2 ${drops} 22`);
      expect(await ask()).toBe('changed');
    }
    expect(await ask()).toBe('unchanged');
  });

  test('waits until the program has opened its socket', async () => {
    sockets();
    await ask();
    await clock.advance(1000);
    expect(await ask()).toBe('unknown');
    sockets('12 4711 00000040 0 0 0 2 0 22');
    await clock.advance(100);
    await ask();
    expect(await ask()).toBe('unchanged');
    expect([starts, problems]).toEqual([1, []]);
  });

  test('starts another program, later, when the first one is gone', async () => {
    await listening();
    sockets();
    expect(await ask()).toBe('unknown');
    expect([problems, ends]).toEqual([['the program that listens has ended'], 1]);
    sockets('12 4711 00000040 0 0 0 2 0 22');
    expect(await ask()).toBe('unknown');
    expect(starts).toBe(1);
    await clock.advance(5000);
    await listening();
    expect(starts).toBe(2);
    // A change while nobody listened is nothing that it knows of.
    expect(await ask()).toBe('unchanged');
  });

  test.each([
    ['cannot be started', () => (canStart = false)],
    ['ends at once', () => rmSync(join(procRoot, String(pid)), { recursive: true })],
    ['never listens', () => sockets()],
  ])('tells once that the program %s, and tries ever less often', async (_, spoil) => {
    spoil();
    for (let second = 0; second < 3600; second += 1) {
      expect(await ask()).toBe('unknown');
      await clock.advance(1000);
    }
    expect(problems).toHaveLength(1);
    expect(starts).toBeGreaterThan(5);
    expect(starts).toBeLessThan(20);
    expect(ends).toBe(starts);
  });

  test('ends the program with itself', async () => {
    await listening();
    listener.stop();
    expect(ends).toBe(1);
    expect(await ask()).toBe('unknown');
    await clock.advance(60_000);
    expect(starts).toBe(1);
  });
});
