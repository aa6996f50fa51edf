import { type FamilyTools, readFilterCounters } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, type CommandRunner, slept } from '../../pkg/runtime/index.ts';
import { type Part, ruleLandmarks } from './part-ownership.ts';

export interface FilterCountersOptions {
  readonly clock: Clock;
  readonly commands: CommandRunner;
  /** Whose counters are asked for. */
  readonly parts: readonly Part[];
  /** One for each family that the node has now. */
  readonly tools: () => readonly FamilyTools[];
  /** Whether the counters are worth reading though nobody asks. */
  readonly isWorthwhile: () => boolean;
  /** What `iptables-save -c` says of the filter table of each family; a family that could not be read is missing. */
  readonly onRead: (saved: ReadonlyMap<Family, string>) => void;
  /** The counters of a family could not be read; tried again. */
  readonly onError: (error: unknown) => void;
}

const intervalMs = 15_000;
/** A scrape reads again what is older than this … */
const staleMs = 5000;
/** … and waits for it no longer than this. */
const scrapeWaitMs = 1000;
/** Reading may take at most this share of the time, when nobody asks. */
const readShare = 0.01;

/**
 * Reads the counters of the filter rules for all who count by them: at a scrape, and often while that is worthwhile, because a
 * rewrite of a chain takes along what its rules had counted since.
 */
export class FilterCounters {
  readonly #options: FilterCountersOptions;
  readonly #stop = new AbortController();
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: FilterCountersOptions) {
    this.#options = options;
  }

  /** Reads from time to time until `stop`. */
  async start(): Promise<void> {
    const { clock, isWorthwhile } = this.#options;
    let pauseMs = 0;
    while (await slept(clock, pauseMs, this.#stop.signal)) {
      const start = clock.now();
      if (isWorthwhile()) await this.#read();
      pauseMs = Math.max(intervalMs, (clock.now() - start) / readShare);
    }
  }

  stop(): void {
    this.#stop.abort(new Error('stopped'));
  }

  /** For a scrape: brings the metrics up to date, unless that would keep it waiting. */
  async refresh(): Promise<void> {
    const { clock } = this.#options;
    if (clock.now() - this.#readAt < staleMs || this.#stop.signal.aborted) return;
    const waited = new AbortController();
    const patience = clock.sleep(scrapeWaitMs, waited.signal).catch(() => undefined);
    await Promise.race([this.#read(), patience]);
    waited.abort(new Error('done'));
  }

  /** One reading at a time: who comes while one is under way gets its result. */
  #read(): Promise<void> {
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readAll(): Promise<void> {
    const { clock, tools, onRead } = this.#options;
    const saved = new Map<Family, string>();
    await Promise.all(
      tools().map(async (family) => {
        const text = await this.#readFamily(family);
        if (text !== undefined) saved.set(family.family, text);
      }),
    );
    this.#readAt = clock.now();
    if (!this.#stop.signal.aborted) onRead(saved);
  }

  async #readFamily(tools: FamilyTools): Promise<string | undefined> {
    const { commands, onError, parts } = this.#options;
    try {
      return await readFilterCounters(commands, tools, {
        landmarks: ruleLandmarks(parts),
        signal: this.#stop.signal,
      });
    } catch (error) {
      if (!this.#stop.signal.aborted) onError(error);
      return undefined;
    }
  }
}
