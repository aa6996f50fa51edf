import { errorLine } from './errors.ts';

/** The first part that ended although it should not have. */
export interface Crash {
  readonly part: string;
  /** Undefined when the part just ended. */
  readonly error: unknown;
}

/** The last line of a process that ends because a part of it did. */
export function crashLine(crash: Crash): string {
  const why = crash.error === undefined ? 'ended without being asked to' : errorLine(crash.error);
  return `weir stops: ${crash.part}: ${why}`;
}

/**
 * Knows the long-running parts of the process by name. None of them may end before `release`: half a Weir, say one that
 * serves health but no longer writes rules, is worse than a restart.
 */
export class Supervisor {
  readonly #crash = Promise.withResolvers<Crash>();
  #released = false;

  /** Resolves with the first crash; stays pending for ever when there is none. Never rejects. */
  get crashed(): Promise<Crash> {
    return this.#crash.promise;
  }

  /** Takes over a running part: whether it rejects or resolves, that is a crash unless shutdown has begun. */
  watch(part: string, running: Promise<unknown>): void {
    running.then(
      () => this.#ended({ part, error: undefined }),
      (error: unknown) => this.#ended({ part, error }),
    );
  }

  /** Shutdown begins: from here on parts may end. */
  release(): void {
    this.#released = true;
  }

  #ended(crash: Crash): void {
    if (!this.#released) this.#crash.resolve(crash);
  }
}
