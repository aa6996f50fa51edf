export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Growth per failure; 2 unless told. */
  readonly factor?: number;
  /** Share of a delay that is random, 0 to 1; 0.25 unless told. A delay is never longer than without it. */
  readonly jitter?: number;
  /** Uniform in [0, 1), as Math.random. */
  readonly random?: () => number;
}

/** Exponential delays with jitter, so that the nodes of a cluster do not retry in step. */
export class Backoff {
  readonly #options: Required<BackoffOptions>;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = { factor: 2, jitter: 0.25, random: Math.random, ...options };
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /** Counts a failure and gives the milliseconds to wait before the next try. */
  next(): number {
    const { initialMs, maxMs, factor, jitter, random } = this.#options;
    const full = Math.min(maxMs, initialMs * factor ** this.#failures);
    this.#failures += 1;
    return full * (1 - jitter * random());
  }

  reset(): void {
    this.#failures = 0;
  }
}
