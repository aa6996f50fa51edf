import type { Clock } from '../../runtime/index.ts';

export interface WatchLimits {
  /** For all of it, from its beginning. */
  readonly totalMs: number;
  /** Between two things heard. */
  readonly idleMs: number;
}

/** Ends a watch that lasts too long, hears nothing for too long, or whose owner has stopped. */
export class WatchDeadline {
  readonly #clock: Clock;
  readonly #parent: AbortSignal;
  readonly #begunAt: number;
  readonly #watch = new AbortController();
  readonly #close = new AbortController();
  readonly #waiting: Promise<void>;
  #limits: WatchLimits;
  #heardAt: number;
  #passed: 'overdue' | 'idle' | undefined;

  constructor(clock: Clock, parent: AbortSignal, limits: WatchLimits) {
    this.#clock = clock;
    this.#parent = parent;
    this.#limits = limits;
    this.#begunAt = clock.now();
    this.#heardAt = this.#begunAt;
    if (parent.aborted) this.#watch.abort(parent.reason);
    parent.addEventListener('abort', this.#onStop, { once: true });
    this.#waiting = this.#wait();
  }

  /** Aborts when the watch has to end. */
  get signal(): AbortSignal {
    return this.#watch.signal;
  }

  /** Which limit ended the watch, if one did. */
  get passed(): 'overdue' | 'idle' | undefined {
    return this.#passed;
  }

  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  /** Other limits from now on; they must not be shorter. */
  extend(limits: WatchLimits): void {
    this.#limits = limits;
  }

  /** The watch is over; resolves when nothing of this is left. */
  async close(): Promise<void> {
    this.#parent.removeEventListener('abort', this.#onStop);
    this.#close.abort(new Error('the watch is over'));
    await this.#waiting;
  }

  readonly #onStop = (): void => {
    this.#watch.abort(this.#parent.reason);
  };

  async #wait(): Promise<void> {
    while (!this.#close.signal.aborted) {
      const now = this.#clock.now();
      const endAt = this.#begunAt + this.#limits.totalMs;
      const idleAt = this.#heardAt + this.#limits.idleMs;
      if (now >= Math.min(endAt, idleAt)) {
        this.#passed = now >= endAt ? 'overdue' : 'idle';
        this.#watch.abort(new Error(`the watch is ${this.#passed}`));
        return;
      }
      await this.#sleep(Math.min(endAt, idleAt) - now);
    }
  }

  async #sleep(ms: number): Promise<void> {
    try {
      await this.#clock.sleep(ms, this.#close.signal);
    } catch (error) {
      if (!this.#close.signal.aborted) throw error;
    }
  }
}
