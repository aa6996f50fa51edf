import type { Clock } from '../../runtime/index.ts';

/** For so long every kind lists by pages after a stream has failed; then one kind tries a stream again. */
const retryMs = 600_000;

/**
 * Whether complete states are asked for as streams (`sendInitialEvents`). One for all kinds of a source: a server that
 * promises streaming lists and then refuses each of them is not asked again by every kind.
 */
export class StreamingLists {
  readonly #clock: Clock;
  /** When a stream may be tried again; `undefined` while none has failed since the last that worked. */
  #retryAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a kind asks for a stream now. After a failure it is one kind in ten minutes, and what comes of it counts for all. */
  mayTry(): boolean {
    if (this.#retryAt === undefined) return true;
    if (this.#clock.now() < this.#retryAt) return false;
    this.#retryAt = this.#clock.now() + retryMs;
    return true;
  }

  /** A stream has brought a complete state. */
  worked(): void {
    this.#retryAt = undefined;
  }

  /** A stream has failed before its end mark. True for the first failure since a stream has worked. */
  failed(): boolean {
    const isFirst = this.#retryAt === undefined;
    this.#retryAt = this.#clock.now() + retryMs;
    return isFirst;
  }
}
