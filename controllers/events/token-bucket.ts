import type { Clock } from '../../pkg/runtime/index.ts';

export interface TokenBucketOptions {
  /** Tokens at first, and at most. */
  readonly burst: number;
  /** Milliseconds for each token to come back. */
  readonly refillMs: number;
}

/** Limits how often something happens in the long run, while a few at once are fine. */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #options: TokenBucketOptions;
  #tokens: number;
  #at: number;

  constructor(clock: Clock, options: TokenBucketOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#tokens = options.burst;
    this.#at = clock.now();
  }

  get hasToken(): boolean {
    this.#refill();
    return this.#tokens >= 1;
  }

  take(): void {
    this.#refill();
    this.#tokens -= 1;
  }

  #refill(): void {
    const { burst, refillMs } = this.#options;
    const now = this.#clock.now();
    this.#tokens = Math.min(burst, this.#tokens + (now - this.#at) / refillMs);
    this.#at = now;
  }
}
