import { describe, expect, test } from 'vitest';
import { JumpContest } from './jump-contest.ts';

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
