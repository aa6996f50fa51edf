import type { Clock } from '../../pkg/runtime/index.ts';
import type { ReflectorObserver } from '../../pkg/source/index.ts';

/** A watch that has been open for so long has delivered what had gathered while there was none. */
const steadyAfterMs = 30_000;

/**
 * Up to when the pods that were received from the API server are sure to be all that there are. A list is as old as its request. A
 * watch proves that it lives with each event and bookmark, but one that was just opened may still have a backlog to deliver.
 */
export class PodsAsOf {
  readonly #clock: Pick<Clock, 'now'>;
  #openSince = Number.POSITIVE_INFINITY;
  #asOf = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** By the clock; -Infinity before the first complete list. */
  now(): number {
    return this.#asOf;
  }

  /** An observer for the reflectors that passes everything on. */
  observer(next: ReflectorObserver): ReflectorObserver {
    return {
      ...next,
      listed: (kind, durationMs, items) => {
        next.listed(kind, durationMs, items);
        if (kind === 'Pod') this.#advance(this.#clock.now() - durationMs);
      },
      watchStarted: (kind, reason) => {
        next.watchStarted(kind, reason);
        if (kind === 'Pod') this.#openSince = this.#clock.now();
      },
      heard: (kind, epochMs) => {
        next.heard(kind, epochMs);
        const now = this.#clock.now();
        if (kind === 'Pod' && now - this.#openSince >= steadyAfterMs) this.#advance(now);
      },
    };
  }

  #advance(asOf: number): void {
    this.#asOf = Math.max(this.#asOf, asOf);
  }
}
