import type { Clock } from '../runtime/index.ts';

const maxKeys = 1000;

interface Seen {
  readonly since: number;
  swallowed: number;
}

/** Lets the first of many equal lines through, then one per window that says how many were swallowed. */
export class RepeatFilter {
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #seen = new Map<string, Seen>();

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  /** How many equal lines were swallowed before this one, or undefined when this one is to be swallowed too. */
  pass(key: string): number | undefined {
    const now = this.#clock.now();
    const seen = this.#seen.get(key);
    if (seen !== undefined && now - seen.since < this.#windowMs) {
      seen.swallowed += 1;
      return undefined;
    }
    this.#seen.delete(key);
    this.#seen.set(key, { since: now, swallowed: 0 });
    // Oldest first: keys that never come again must not stay for ever.
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > maxKeys && oldest !== undefined) this.#seen.delete(oldest);
    return seen?.swallowed ?? 0;
  }
}
