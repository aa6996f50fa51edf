import type { Clock } from '../../pkg/runtime/index.ts';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** A clock that stands still until the test moves it. */
export class FakeClock implements Clock {
  #now = 0;
  #sleepers: readonly Sleeper[] = [];

  now(): number {
    return this.#now;
  }

  /** How many are asleep. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const sleeper: Sleeper = {
        at: this.#now + Math.max(ms, 0),
        wake: () => {
          signal?.removeEventListener('abort', fail);
          resolve();
        },
      };
      const fail = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', fail, { once: true });
      this.#sleepers = [...this.#sleepers, sleeper];
    });
  }

  /** Lets time pass: wakes whoever is due, in order, and lets each go on until it sleeps again. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (let next = this.#nextDue(until); next !== undefined; next = this.#nextDue(until)) {
      const due = next;
      this.#now = Math.max(this.#now, due.at);
      this.#sleepers = this.#sleepers.filter((other) => other !== due);
      due.wake();
      await settle();
    }
    this.#now = until;
  }

  #nextDue(until: number): Sleeper | undefined {
    const due = this.#sleepers.filter((sleeper) => sleeper.at <= until);
    return due.toSorted((a, b) => a.at - b.at)[0];
  }
}

/** Lets everything that can go on without time passing go on. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
