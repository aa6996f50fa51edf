import type { Clock } from '../../runtime/index.ts';

interface Limits {
  /** For all of it. */
  readonly totalMs: number;
  /** Between two things heard. */
  readonly idleMs: number;
}

/** Ends a watch that lasts too long, hears nothing for too long, or whose owner has stopped. */
export class WatchDeadline {
  readonly #clock: Clock;
  readonly #parent: AbortSignal;
  readonly #limits: Limits;
  readonly #watch = new AbortController();
  readonly #close = new AbortController();
  readonly #waiting: Promise<void>;
  #heardAt: number;
  #passed: 'overdue' | 'idle' | undefined;

  constructor(clock: Clock, parent: AbortSignal, limits: Limits) {
    this.#clock = clock;
    this.#parent = parent;
    this.#limits = limits;
    this.#heardAt = clock.now();
    if (parent.aborted) this.#watch.abort(parent.reason);
    parent.addEventListener('abort', this.#onStop, { once: true });
    this.#waiting = this.#wait(clock.now() + limits.totalMs);
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

  /** The watch is over; resolves when nothing of this is left. */
  async close(): Promise<void> {
    this.#parent.removeEventListener('abort', this.#onStop);
    this.#close.abort(new Error('the watch is over'));
    await this.#waiting;
  }

  readonly #onStop = (): void => {
    this.#watch.abort(this.#parent.reason);
  };

  async #wait(endAt: number): Promise<void> {
    const { idleMs } = this.#limits;
    while (!this.#close.signal.aborted) {
      const now = this.#clock.now();
      const idleAt = this.#heardAt + idleMs;
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
