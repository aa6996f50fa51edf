import type { BackoffOptions } from './backoff.ts';
import { Backoff } from './backoff.ts';
import type { Clock } from './clock.ts';

/** Why a run happens: somebody called `run`, the last one failed, or the maximum interval passed (look at everything). */
export type RunReason = 'requested' | 'retry' | 'interval';

export interface BoundedFrequencyRunnerOptions {
  readonly work: (reason: RunReason, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  /**
   * Pause after a run that was configured explicitly, honoured as kube-proxy honours its minSyncPeriod. Without it the
   * pause is twice the duration of the run, at most a second (kube-proxy's default): the work never takes more than a
   * third of the time, and a small node follows within milliseconds.
   */
  readonly minIntervalMs?: number;
  /** A run that nobody asked for, this long after the last one. */
  readonly maxIntervalMs: number;
  /** Delays after failures. A call of `run` shortens a long delay to the first one, since it may bring the cure. */
  readonly retry: BackoffOptions;
  /** Told of each failure and of the milliseconds until the next try. */
  readonly onError: (error: unknown, retryInMs: number) => void;
}

const adaptiveMultiple = 2;
const adaptiveLimitMs = 1000;

/** How long `stop` waits for work that was told to abort. */
const abortGraceMs = 1000;

/**
 * Runs one piece of work, never twice at a time, not too often and not too seldom. `run` only notes that there is
 * something to do: at once when idle; a call during a run leads to exactly one more.
 */
export class BoundedFrequencyRunner {
  readonly #options: BoundedFrequencyRunnerOptions;
  readonly #backoff: Backoff;
  readonly #abortWork = new AbortController();
  #loop: Promise<void> | undefined;
  #wake = new AbortController();
  #stopped = false;
  #dirty = false;
  /** No run before this moment, whoever asks. */
  #notBefore = 0;
  /** A run at this moment, even if nobody asks. */
  #timer: { readonly at: number; readonly reason: RunReason };

  constructor(options: BoundedFrequencyRunnerOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.retry);
    this.#timer = { at: Number.POSITIVE_INFINITY, reason: 'interval' };
  }

  /** Marks that there is work. Returns at once; may be called before `start`. */
  run(): void {
    this.#dirty = true;
    this.#wake.abort();
  }

  /** Begins to work. The promise is for a supervisor: it resolves after `stop` and rejects only on a bug. */
  start(): Promise<void> {
    if (this.#loop === undefined) {
      this.#timer = { at: this.#options.clock.now() + this.#options.maxIntervalMs, reason: 'interval' };
      this.#loop = this.#runUntilStopped();
    }
    return this.#loop;
  }

  /**
   * Starts nothing more. A run in flight may finish within `deadlineMs`; after that its signal is aborted.
   * Returns whether everything ended by itself.
   */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopped = true;
    this.#wake.abort();
    if (await this.#endedWithin(deadlineMs)) return true;
    this.#abortWork.abort(new Error('stopped before the work was done'));
    await this.#endedWithin(abortGraceMs);
    return false;
  }

  async #endedWithin(ms: number): Promise<boolean> {
    const timeout = new AbortController();
    const late = this.#options.clock.sleep(ms, timeout.signal).then(
      () => false,
      () => false,
    );
    const ended = await Promise.race([this.#loop?.then(() => true) ?? true, late]);
    timeout.abort();
    return ended;
  }

  async #runUntilStopped(): Promise<void> {
    for (let reason = await this.#nextRun(); reason !== undefined; reason = await this.#nextRun()) {
      this.#dirty = false;
      await this.#runOnce(reason);
    }
  }

  /** Waits until a run is due; undefined when stopped. */
  async #nextRun(): Promise<RunReason | undefined> {
    const { clock } = this.#options;
    while (!this.#stopped) {
      const now = clock.now();
      if (this.#timer.at <= now) return this.#timer.reason;
      if (this.#dirty && this.#notBefore <= now) return 'requested';
      this.#wake = new AbortController();
      const due = this.#dirty ? Math.min(this.#notBefore, this.#timer.at) : this.#timer.at;
      // Waking up early is the normal case, not an error.
      await clock.sleep(due - now, this.#wake.signal).catch(() => undefined);
    }
    return undefined;
  }

  async #runOnce(reason: RunReason): Promise<void> {
    const { clock, work, minIntervalMs, maxIntervalMs, onError } = this.#options;
    const startedAt = clock.now();
    try {
      await work(reason, this.#abortWork.signal);
      const now = clock.now();
      this.#backoff.reset();
      this.#notBefore = now + (minIntervalMs ?? adaptivePause(now - startedAt));
      this.#timer = { at: now + maxIntervalMs, reason: 'interval' };
    } catch (error) {
      const now = clock.now();
      const delay = this.#backoff.next();
      const pause = Math.max(
        minIntervalMs ?? adaptivePause(now - startedAt),
        Math.min(delay, this.#options.retry.initialMs),
      );
      this.#notBefore = now + pause;
      this.#timer = { at: now + Math.max(delay, pause), reason: 'retry' };
      if (!this.#stopped) onError(error, Math.max(delay, pause));
    }
  }
}

function adaptivePause(durationMs: number): number {
  return Math.min(adaptiveMultiple * durationMs, adaptiveLimitMs);
}
