import type { SetSizes } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, slept } from '../../pkg/runtime/index.ts';
import type { FamilySync } from './family-sync.ts';
import { JumpContest } from './jump-contest.ts';
import type { Part } from './part-ownership.ts';
import type { PartSync, QuickCheck } from './part-sync.ts';

export interface DriftAuditOptions {
  readonly clock: Clock;
  readonly families: readonly FamilySync[];
  /** Reads the number of members of every set. */
  readonly setSizes: (signal: AbortSignal) => Promise<SetSizes>;
  /** A look at everything is at least this far apart, in milliseconds; farther when looking is expensive. */
  readonly syncPeriodMs: number;
  /** Whether the part is Weir's to look at now. */
  readonly isWatched: (part: Part) => boolean;
  /** The kernel may not be as these parts were left, or all of them: read, compare, repair. */
  readonly onSuspicion: (reason: string, suspects?: readonly PartSync[]) => void;
  /** A quick check found a part of a family as it was left. */
  readonly onVerified: (family: Family, part: Part) => void;
  /** Another agent keeps moving in front of Weir's jumps; told once for each contest. */
  readonly onContest: (moves: number) => void;
  /** Looking failed; it will be tried again. */
  readonly onError: (error: unknown) => void;
}

/** A flush by somebody else must be noticed within two seconds. */
const glanceIntervalMs = 1500;
/** Looking may take at most this share of the time. */
const lookShare = 0.02;
/** A glance is cheap, and what it finds is urgent; waiting for a busy machine counts as its time, too. */
const glanceShare = 0.1;
/** One slow glance is no reason to look away for minutes. */
const longestPauseMs = 15_000;
/** However slow reading is, everything is compared this often, unless a longer sync period is asked for. */
const longestUnreadMs = 600_000;

/**
 * Watches for changes that others make: often where every flush leaves a trace, and from time to time at everything. It only
 * raises suspicion; the sync loop reads, compares and repairs.
 */
export class DriftAudit {
  readonly #options: DriftAuditOptions;
  readonly #stop = new AbortController();
  readonly #contest = new JumpContest();
  #nextLook: number;

  constructor(options: DriftAuditOptions) {
    this.#options = options;
    this.#nextLook = options.clock.now() + options.syncPeriodMs;
  }

  /** Everything was read just now and found or made right; reading took this long, in milliseconds. */
  looked(readMs: number): void {
    const { clock, syncPeriodMs } = this.#options;
    const worthwhileMs = Math.min(longestUnreadMs, readMs / lookShare);
    this.#nextLook = clock.now() + Math.max(syncPeriodMs, worthwhileMs);
  }

  /** Runs until `stop`. */
  async start(): Promise<void> {
    const { clock, families, onError } = this.#options;
    let pauseMs = glanceIntervalMs;
    while (await slept(clock, pauseMs, this.#stop.signal)) {
      // Behind a long write a glance would wait, and that is no cost of looking.
      await Promise.all(families.map((family) => family.idle()));
      const start = clock.now();
      try {
        await this.#look();
      } catch (error) {
        if (!this.#stop.signal.aborted) onError(error);
      }
      const worthwhileMs = (clock.now() - start) / glanceShare;
      pauseMs = Math.min(longestPauseMs, Math.max(glanceIntervalMs, worthwhileMs));
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  async #look(): Promise<void> {
    const { clock, families, setSizes, onSuspicion, onVerified, syncPeriodMs, isWatched } = this.#options;
    const isWatchedPart = ({ part }: PartSync): boolean => isWatched(part);
    const { signal } = this.#stop;
    if (clock.now() >= this.#nextLook) {
      this.#nextLook = clock.now() + syncPeriodMs;
      onSuspicion('it is time to compare everything');
      return;
    }
    // The sets of both families are one list.
    const sizes = setSizes(signal);
    const checks = await Promise.all(
      families.map((family) => family.quickCheck(family.parts.filter(isWatchedPart), sizes, signal)),
    );
    const found = new Map(checks.flatMap((check) => [...check]));
    for (const { family, parts } of families)
      for (const part of parts) if (found.get(part) === 'nothing') onVerified(family, part.part);
    const suspects = (what: QuickCheck): readonly PartSync[] =>
      [...found].flatMap(([part, seen]) => (seen === what ? [part] : []));
    const [changed, sets, displaced] = [suspects('changed'), suspects('sets'), suspects('displaced')];
    if (changed.length > 0)
      onSuspicion('somebody else changed the rules', [...changed, ...sets, ...displaced]);
    else if (sets.length > 0) onSuspicion('somebody else changed the sets', [...sets, ...displaced]);
    else if (displaced.length > 0) this.#answerDisplacement(displaced);
  }

  #answerDisplacement(displaced: readonly PartSync[]): void {
    const { clock, onContest, onSuspicion } = this.#options;
    const move = this.#contest.displaced(clock.now());
    if (move === 'wait') return;
    if (move === 'repair and warn') onContest(this.#contest.moves);
    onSuspicion("somebody else put a rule in front of Weir's", displaced);
  }
}
