/** So many moves in a row may be somebody who starts; more is somebody who does not stop. */
const patience = 3;
const firstDelayMs = 3000;
const maxDelayMs = 30_000;
/** Nobody in front for so long: the contest is over. */
const peaceMs = 60_000;

/** What to do about a jump that is not first any more. */
export type ContestMove = 'repair' | 'repair and warn' | 'wait';

/**
 * Another agent may want to be first in the same chain as Weir, and look as often. Each time the two take turns, connections
 * come and go with it; so after some moves Weir takes its time, ever more of it.
 */
export class JumpContest {
  #moves = 0;
  #lastMove = Number.NEGATIVE_INFINITY;

  /** How often the jump was moved back since it last stood first for long. */
  get moves(): number {
    return this.#moves;
  }

  /** The jump is behind somebody's rule. `now` in milliseconds. */
  displaced(now: number): ContestMove {
    if (now - this.#lastMove > peaceMs) this.#moves = 0;
    if (now - this.#lastMove < this.#delayMs()) return 'wait';
    this.#moves += 1;
    this.#lastMove = now;
    return this.#moves === patience + 1 ? 'repair and warn' : 'repair';
  }

  #delayMs(): number {
    const beyond = this.#moves - patience;
    return beyond <= 0 ? 0 : Math.min(maxDelayMs, firstDelayMs * 2 ** (beyond - 1));
  }
}
