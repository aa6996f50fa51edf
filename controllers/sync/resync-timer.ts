import type { Clock } from '../../pkg/runtime/index.ts';

/** What is to be read and compared: the sets alone cost next to nothing, all rules may take seconds. */
export type Resync = 'everything' | 'sets';

/** Reading everything may take at most this share of the time. */
const share = 0.02;
/** Reading the sets, which happens on a node where nothing else does. */
const shareOfSets = 0.004;
/** However slow reading is, everything is compared this often, unless a longer sync period is configured. */
const longestMs = 600_000;
/** Where every change is signalled, and there was none: only in case that the signal is mistaken. Reading 10,000 Services takes seconds. */
const unchangedMs = 3_600_000;
/**
 * After a change by others that a quick check could not find, and after a time without a signal, everything is compared soon, yet no sooner
 * than this after the last time.
 */
const soonMs = 10_000;

interface LastTime {
  readonly at: number;
  /** How long reading took. */
  readonly readMs: number;
}

/** Says when sets, and when all rules, are to be read and compared again. */
export class ResyncTimer {
  readonly #clock: Clock;
  readonly #syncPeriodMs: number;
  #everything: LastTime;
  #sets: LastTime;
  /** Since everything was compared. */
  #changed: 'by nobody' | 'by Weir' | 'by others' = 'by nobody';
  #isSignalled = false;
  /** There was no signal for a while. */
  #wasBlind = false;

  constructor(clock: Clock, syncPeriodMs: number) {
    this.#clock = clock;
    this.#syncPeriodMs = syncPeriodMs;
    this.#everything = { at: clock.now(), readMs: 0 };
    this.#sets = this.#everything;
  }

  /** This was read and compared just now; reading took so long, in milliseconds. */
  done(what: Resync, readMs: number): void {
    this.#sets = { at: this.#clock.now(), readMs };
    if (what === 'sets') return;
    this.#everything = this.#sets;
    this.#changed = 'by nobody';
    this.#wasBlind = !this.#isSignalled;
  }

  /** It was asked for, and may fail. */
  wanted(what: Resync): void {
    this.done(what, 0);
  }

  /** Rules have changed: by Weir itself, or by others in a way that a quick check did not find. */
  changed(by: 'by Weir' | 'by others'): void {
    if (this.#changed !== 'by others') this.#changed = by;
  }

  /** Why everything is due, where it is. */
  get reason(): string {
    if (this.#changed === 'by others')
      return 'somebody else changed something that a quick check does not see';
    return this.#isSignalled && this.#wasBlind
      ? 'changes were not signalled for a while'
      : 'it is time to compare everything';
  }

  /** Whether a signal tells of every change at the moment. */
  signalled(isSignalled: boolean): void {
    this.#isSignalled = isSignalled;
    if (!isSignalled) this.#wasBlind = true;
  }

  due(): Resync | undefined {
    const now = this.#clock.now();
    if (now - this.#everything.at >= this.#periodMs()) return 'everything';
    const setsMs = Math.max(this.#syncPeriodMs, worthwhileMs(this.#sets, shareOfSets));
    return now - this.#sets.at >= setsMs ? 'sets' : undefined;
  }

  #periodMs(): number {
    const worthwhile = worthwhileMs(this.#everything, share);
    // What others changed together with a write of Weir's own nobody has noticed.
    const usualMs = Math.max(this.#syncPeriodMs, worthwhile);
    if (!this.#isSignalled) return usualMs;
    if (this.#wasBlind || this.#changed === 'by others')
      return Math.min(usualMs, Math.max(soonMs, worthwhile));
    return this.#changed === 'by Weir' ? usualMs : Math.max(this.#syncPeriodMs, unchangedMs);
  }
}

function worthwhileMs({ readMs }: LastTime, share: number): number {
  return Math.min(longestMs, readMs / share);
}
