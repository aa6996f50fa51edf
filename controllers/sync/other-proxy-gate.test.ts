import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { OtherProxyGate } from './other-proxy-gate.ts';

const minute = 60_000;
const families = ['IPv4', 'IPv6'] as const;

let clock: FakeClock;
let log: RecordedLog;
let ports: readonly number[];
let polls: number;
let stoodBack: string[];
let freed: number;
let retries: number;
let gate: OtherProxyGate;

beforeEach(() => {
  clock = new FakeClock();
  log = recordedLog();
  ports = [];
  polls = 0;
  stoodBack = [];
  freed = 0;
  retries = 0;
  gate = new OtherProxyGate({
    clock,
    log,
    ports: async () => {
      polls += 1;
      return ports;
    },
    onStandBack: (reason) => stoodBack.push(reason),
  });
});

afterEach(() => gate.stop());

async function start(): Promise<void> {
  await gate.lookForOther();
  const onFree = async (): Promise<void> => {
    freed += 1;
  };
  void gate.start(onFree, () => {
    retries += 1;
  });
  await clock.advance(0);
}

const mayWrite = (): boolean => gate.mayWrite('services');

describe('at the start', () => {
  test('nobody is waited for when no port answers', async () => {
    await start();
    expect([mayWrite(), freed, polls]).toEqual([true, 0, 1]);
    await clock.advance(10 * minute);
    expect(polls).toBe(1);
    expect(log.lines).toEqual([]);
  });

  test('Services wait for a proxy whose ports answer, and nothing else does', async () => {
    ports = [10_256, 10_249];
    await start();
    expect([mayWrite(), gate.mayWrite('policies')]).toEqual([false, true]);
    expect(gate.reason).toBe('another proxy (port 10256 and 10249 answers) runs on this node');
    await clock.advance(10 * minute);
    ports = [];
    expect([mayWrite(), freed]).toEqual([false, 0]);
    await clock.advance(2000);
    expect([mayWrite(), freed, gate.takesOver]).toEqual([true, 1, false]);
    expect(log.lines).toEqual([
      'ERROR another proxy (port 10256 and 10249 answers) runs on this node: no Service rules are written until it is gone; policies are enforced',
      'INFO recovered: the other proxy is gone; Service rules are written',
    ]);
  });
});

describe('when chains of another proxy come back', () => {
  beforeEach(start);

  test('the first time rules were only restored: they are taken over at once, in each family', () => {
    for (const family of families) expect(gate.cameBack(family)).toBe('take over');
    expect(mayWrite()).toBe(true);
    expect(log.lines).toEqual(
      families.map(
        (family) =>
          `WARN ${family} KUBE-SEP- chains came back (saved rules were restored, or kube-proxy was started): Service rules are taken over again`,
      ),
    );
  });

  test('and again within five minutes somebody is alive: Services of all families stand back, with one line', async () => {
    gate.cameBack('IPv4');
    await clock.advance(5 * minute - 1);
    expect(gate.cameBack('IPv4')).toBe('stand back');
    expect([mayWrite(), gate.mayWrite('policies')]).toEqual([false, true]);
    expect(gate.cameBack('IPv6')).toBe('stand back');
    expect(log.lines.slice(1)).toEqual([
      'ERROR another proxy writes IPv4 Service rules (KUBE-SEP- chains came back again): Weir stops writing Service rules, and tries again in 1 min; policies go on. Stop the other proxy',
    ]);
    expect(stoodBack).toEqual(['another proxy writes IPv4 Service rules (KUBE-SEP- chains came back again)']);
  });

  test('and again after five minutes they are taken over again', async () => {
    gate.cameBack('IPv4');
    await clock.advance(5 * minute);
    expect(gate.cameBack('IPv4')).toBe('take over');
    expect(stoodBack).toEqual([]);
  });
});

describe('while it stands back', () => {
  beforeEach(async () => {
    await start();
    gate.cameBack('IPv4');
    gate.cameBack('IPv4');
  });

  test('recovers by itself after a minute when the other proxy is gone', async () => {
    await clock.advance(minute - 1);
    expect([retries, mayWrite()]).toEqual([0, false]);
    await clock.advance(1);
    expect([retries, mayWrite(), gate.takesOver]).toEqual([1, true, true]);
    expect(log.lines).not.toContainEqual(expect.stringContaining('recovered'));
    gate.inForce(families);
    expect(gate.takesOver).toBe(false);
    expect(log.lines.at(-1)).toBe('INFO recovered: Service rules are written again');
    await clock.advance(60 * minute);
    expect([retries, mayWrite()]).toEqual([1, true]);
  });

  test('takes over what it finds then, and keeps trying until that has succeeded', async () => {
    await clock.advance(minute);
    expect(gate.cameBack('IPv4')).toBe('take over');
    expect(gate.takesOver).toBe(true);
    expect(log.lines.filter((line) => line.startsWith('WARN'))).toHaveLength(1);
  });

  test('tries ever more seldom while the other proxy lives, in either family', async () => {
    const pauses: number[] = [];
    for (const family of ['IPv4', 'IPv6', 'IPv4', 'IPv6', 'IPv4', 'IPv4'] as const) {
      const before = clock.now();
      while (!gate.takesOver) await clock.advance(minute);
      pauses.push((clock.now() - before) / minute);
      gate.inForce(families);
      await clock.advance(30_000);
      expect(gate.cameBack(family)).toBe('stand back');
    }
    expect(pauses).toEqual([1, 2, 4, 8, 10, 10]);
    expect(stoodBack).toHaveLength(7);
  });

  test('and begins anew when the other proxy was gone for long', async () => {
    await clock.advance(minute);
    gate.inForce(families);
    await clock.advance(6 * minute);
    expect(gate.cameBack('IPv4')).toBe('take over');
    expect(gate.cameBack('IPv4')).toBe('stand back');
    expect(log.lines.at(-1)).toContain('tries again in 1 min');
  });
});
