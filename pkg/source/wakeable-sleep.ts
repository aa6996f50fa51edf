import type { Clock } from '../runtime/index.ts';

/** A sleep that somebody else can end. A wake-up that comes while nobody sleeps ends the next sleep. */
export class WakeableSleep {
  readonly #clock: Clock;
  #nap: AbortController | undefined;
  #woken = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    this.#woken = true;
    this.#nap?.abort();
  }

  /** Whether it was woken before the time was over. */
  async sleep(ms: number): Promise<boolean> {
    const nap = new AbortController();
    this.#nap = nap;
    try {
      if (!this.#woken) await this.#clock.sleep(ms, nap.signal);
    } catch (error) {
      if (!nap.signal.aborted) throw error;
    }
    this.#nap = undefined;
    const woken = this.#woken;
    this.#woken = false;
    return woken;
  }
}
