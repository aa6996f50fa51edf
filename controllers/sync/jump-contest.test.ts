import { describe, expect, test } from 'vitest';
import type { JumpChange, Plan } from '../../pkg/kernel/index.ts';
import { isOnlyDisplaced, JumpContest } from './jump-contest.ts';

/** When, in seconds, the jump is moved back, if somebody steps in front of it at once each time and Weir looks every second. */
function movesWithin(seconds: number): readonly string[] {
  const contest = new JumpContest();
  const moves: string[] = [];
  for (let second = 0; second < seconds; second += 1) {
    const move = contest.displaced(second * 1000);
    if (move !== 'wait') moves.push(move === 'repair' ? `${second}` : `${second} warned`);
  }
  return moves;
}

describe('JumpContest', () => {
  test('moves back at once three times, then warns and takes ever more time, at most half a minute', () => {
    expect(movesWithin(120)).toEqual(['0', '1', '2', '3 warned', '6', '12', '24', '48', '78', '108']);
  });

  test('begins anew when nobody was in front for a minute', () => {
    const contest = new JumpContest();
    for (let second = 0; second < 10; second += 1) contest.displaced(second * 1000);
    expect(contest.displaced(10_000)).toBe('wait');
    expect(contest.displaced(75_000)).toBe('repair');
    expect(contest.moves).toBe(1);
  });
});

describe('isOnlyDisplaced', () => {
  const nothing: Plan = {
    family: 'IPv4',
    createSets: [],
    addMembers: [],
    earlyRules: [],
    writeChains: [],
    jumps: [],
    removeMembers: [],
    deleteChains: [],
    destroySets: [],
  };
  const jump = (reason: string): JumpChange => ({
    kind: 'insert',
    table: 'filter',
    builtin: 'FORWARD',
    rule: '-j WEIR-FORWARD',
    reason,
  });

  test('tells a jump that is not first from one that is gone, and from all else', () => {
    expect(isOnlyDisplaced({ ...nothing, jumps: [jump('not first')] })).toBe(true);
    expect(isOnlyDisplaced({ ...nothing, jumps: [jump('missing')] })).toBe(false);
    expect(isOnlyDisplaced({ ...nothing, jumps: [jump('not first'), jump('missing')] })).toBe(false);
    const chain = { table: 'filter', name: 'WEIR-OLD' } as Plan['deleteChains'][number];
    expect(isOnlyDisplaced({ ...nothing, jumps: [jump('not first')], deleteChains: [chain] })).toBe(false);
  });
});
