import { Backoff, type Clock } from '../../runtime/index.ts';
import type { Failure } from './failure.ts';

/** Without a failure for this long, the next one counts as the first. */
const healthyMs = 120_000;
/** A watch that was open for so long had begun where it should. */
const lastedMs = 10_000;
/** As client-go: 0.8 s, doubled up to 30 s; with a jitter of 1.0, but never longer than 30 s. */
const backoffOptions = { initialMs: 1600, maxMs: 30_000, jitter: 0.5 } as const;
const doubtsBeforeRelist = 3;
/** After so long in which watches fail, although the server answers them, a list shows what changed meanwhile. */
const failingMs = 300_000;
/**
 * The same where a watch says nothing at all, or does not begin. Longer: a quiet kind is silent for ten minutes where the
 * server's store does not say how far it is (etcd notifies of its progress every ten minutes by default).
 */
const silentMs = 900_000;

/** How the last watch ended: with an answer, or without a word. */
export type WatchOutcome = 'answered' | 'silent';

/** What the failures of one kind have been, and what follows: how long to wait, and when to read the whole state again. */
export class RetryState {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  /** When the wait after the last failure was over. */
  #retriedAt = 0;
  #doubts = 0;
  /** The resourceVersion was too old, and no watch has done its work since. */
  #expired = false;
  /** When an event, a bookmark or a complete state came last, or a list was tried in their place. */
  #heardAt = 0;
  #outcome: WatchOutcome = 'answered';

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#backoff = new Backoff({ ...backoffOptions, random });
  }

  /** An event or a bookmark came. */
  progressed(): void {
    this.#doubts = 0;
    this.#expired = false;
    this.#heardAt = this.#clock.now();
  }

  /** A complete state came. */
  completed(): void {
    this.#doubts = 0;
    this.#heardAt = this.#clock.now();
  }

  watchEnded(outcome: WatchOutcome): void {
    this.#outcome = outcome;
  }

  /** Whether watches have brought nothing for so long that a list has to tell what they should have. Once, then again after as long. */
  takeListDue(): boolean {
    const limit = this.#outcome === 'answered' ? failingMs : silentMs;
    const now = this.#clock.now();
    if (now - this.#heardAt < limit) return false;
    this.#heardAt = now;
    return true;
  }

  /** Whether a failed watch needs a complete state before the next. `openForMs`: how long it had been open. */
  mustRelist({ recovery }: Failure, openForMs: number): boolean {
    if (openForMs >= lastedMs) this.#expired = false;
    if (recovery === 'resume') return false;
    if (recovery === 'relist') return true;
    this.#doubts += 1;
    if (this.#doubts < doubtsBeforeRelist) return false;
    this.#doubts = 0;
    return true;
  }

  /** Whether a resourceVersion is too old for the first time since a watch has worked: no failure, and no reason to wait. */
  isFirstExpiry({ reason }: Failure): boolean {
    const isFirst = reason === 'expired' && !this.#expired;
    this.#expired ||= reason === 'expired';
    return isFirst;
  }

  /** Milliseconds to wait after a failure; no less than the server asks for. */
  delayMs({ retryAfterMs }: Failure): number {
    if (this.#clock.now() - this.#retriedAt >= healthyMs) this.#backoff.reset();
    const delayMs = Math.max(this.#backoff.next(), retryAfterMs);
    this.#retriedAt = this.#clock.now() + delayMs;
    return delayMs;
  }
}
