/** Time as the program sees it. Injected everywhere, so that tests own it. All values are milliseconds. */
export interface Clock {
  /** Monotonic; for durations and deadlines, never for dates. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
