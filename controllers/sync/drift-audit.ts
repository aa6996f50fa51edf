import type { Table } from '../../pkg/change-signal/index.ts';
import type { SetSizes } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, slept } from '../../pkg/runtime/index.ts';
import type { CanaryKeeper } from './canary-keeper.ts';
import type { ChangeNews, ChangeWatch } from './change-watch.ts';
import type { FamilySync } from './family-sync.ts';
import { JumpContest } from './jump-contest.ts';
import type { Part } from './part-ownership.ts';
import type { PartSync, QuickCheck } from './part-sync.ts';
import { type Resync, ResyncTimer } from './resync-timer.ts';

export interface DriftAuditOptions {
  readonly clock: Clock;
  readonly families: readonly FamilySync[];
  /** Says in which tables a quick check is worth its cost. */
  readonly changes: Pick<ChangeWatch, 'ask' | 'stop'>;
  /** Where what says so needs rules of its own. */
  readonly canaryKeeper: Pick<CanaryKeeper, 'sings' | 'silent'> | undefined;
  /** Reads the number of members of every set. */
  readonly setSizes: (signal: AbortSignal) => Promise<SetSizes>;
  /** Full resyncs are at least this far apart, in milliseconds; farther when reading is expensive. */
  readonly syncPeriodMs: number;
  /** Whether the part is Weir's to look at now. */
  readonly isWatched: (part: Part) => boolean;
  /** The kernel may not be as these parts were left, or all of them: read, compare, repair. */
  readonly onSuspicion: (reason: string, suspects?: readonly PartSync[]) => void;
  /** A member of a set may have been exchanged for another: read the sets, compare, repair. */
  readonly onSetsDue: () => void;
  /** A quick check found a part of a family as it was left. */
  readonly onVerified: (family: Family, part: Part) => void;
  /** From now on every change of a rule is signalled, or no longer. */
  readonly onSignalled: (isSignalled: boolean) => void;
  /** Another agent keeps moving in front of Weir's jumps; told once for each contest. */
  readonly onContest: (moves: number) => void;
  /** Looking failed; it will be tried again. */
  readonly onError: (error: unknown) => void;
}

/** A flush by somebody else must be noticed within two seconds. */
const quickCheckIntervalMs = 1500;
/** A quick check is cheap, and what it finds is urgent; waiting for a busy machine counts as its time, too. */
const quickCheckShare = 0.1;
/** One slow quick check is no reason to look away for minutes. */
const longestPauseMs = 15_000;

/**
 * Watches for changes that others make: where something has changed, or nobody knows, by a quick check where every flush leaves a trace;
 * and from time to time by a comparison of everything. It only raises suspicion; the sync loop reads, compares and repairs.
 */
export class DriftAudit {
  readonly #options: DriftAuditOptions;
  readonly #stop = new AbortController();
  readonly #contest = new JumpContest();
  readonly #timer: ResyncTimer;
  /** Parts that the last quick check of their rules found as they were left. */
  readonly #verified = new Set<PartSync>();
  #isSignalled = false;

  constructor(options: DriftAuditOptions) {
    this.#options = options;
    this.#timer = new ResyncTimer(options.clock, options.syncPeriodMs);
  }

  /** This was read just now and found or made right; reading took so long, in milliseconds. */
  resynced(what: Resync, readMs: number): void {
    this.#timer.done(what, readMs);
  }

  /** Runs until `stop`. */
  async start(): Promise<void> {
    const { clock, families, onError } = this.#options;
    let pauseMs = quickCheckIntervalMs;
    while (await slept(clock, pauseMs, this.#stop.signal)) {
      // Behind a long write a quick check would wait, and that is no cost of looking.
      await Promise.all(families.map((family) => family.idle()));
      const start = clock.now();
      try {
        await this.#look();
      } catch (error) {
        if (!this.#stop.signal.aborted) onError(error);
      }
      const worthwhileMs = (clock.now() - start) / quickCheckShare;
      pauseMs = Math.min(longestPauseMs, Math.max(quickCheckIntervalMs, worthwhileMs));
    }
  }

  stop(): void {
    this.#stop.abort();
    this.#options.changes.stop();
  }

  async #look(): Promise<void> {
    const { families, changes, setSizes } = this.#options;
    if (this.#wantResync() === 'everything') return;
    // The sets of both families are one list.
    const sizes = setSizes(this.#stop.signal);
    // Whoever awaits it hears of an error; nobody does until the signal has answered.
    sizes.catch(() => undefined);
    const newsOf = await changes.ask();
    const checks = await Promise.all(families.map((family) => this.#check(family, newsOf, sizes)));
    const found = new Map(checks.flatMap(({ found }) => [...found]));
    this.#noteNews(
      checks.flatMap(({ news }) => news),
      found,
    );
    if (!this.#answer(found)) this.#wantResync();
  }

  #wantResync(): Resync | undefined {
    const { onSuspicion, onSetsDue } = this.#options;
    const due = this.#timer.due();
    if (due === undefined) return undefined;
    const { reason } = this.#timer;
    this.#timer.wanted(due);
    if (due === 'sets') onSetsDue();
    else onSuspicion(reason);
    return due;
  }

  /** Looks at the tables of one family that may not be as they were left, and at the sizes of its sets in any case. */
  async #check(
    family: FamilySync,
    newsOf: (table: Table) => ChangeNews,
    setSizes: Promise<SetSizes>,
  ): Promise<{ readonly found: ReadonlyMap<PartSync, QuickCheck>; readonly news: readonly ChangeNews[] }> {
    const { isWatched } = this.#options;
    const parts = family.parts.filter(({ part }) => isWatched(part));
    const tables = family.tables(parts).map((table) => ({ ...table, news: newsOf(table) }));
    const doubtful = tables.filter(
      ({ news, table }) => news !== 'unchanged' || !parts.every((part) => this.#isVerified(part, table)),
    );
    // Until the quick check has gone well: what the signal has told once it does not tell again.
    for (const part of family.parts)
      if (!parts.includes(part) || doubtful.some(({ table }) => part.state.tables.includes(table)))
        this.#verified.delete(part);
    const look = { tables: new Set(doubtful.map(({ table }) => table)), setSizes };
    const found = await family.quickCheck(parts, look, this.#stop.signal);
    this.#noteVerified(family.family, found);
    for (const { news, ...table } of tables)
      if (parts.every((part) => this.#isVerified(part, table.table))) await this.#keepCanary(table, news);
    return { found, news: tables.map(({ news }) => news) };
  }

  #noteNews(news: readonly ChangeNews[], found: ReadonlyMap<PartSync, QuickCheck>): void {
    if (news.includes('written')) this.#timer.changed('by Weir');
    const isFound = [...found.values()].some((seen) => seen === 'changed' || seen === 'displaced');
    if (news.includes('changed by others') && !isFound) this.#timer.changed('by others');
    const isSignalled = !news.includes('unknown');
    this.#timer.signalled(isSignalled);
    if (isSignalled !== this.#isSignalled) this.#options.onSignalled(isSignalled);
    this.#isSignalled = isSignalled;
  }

  #isVerified(part: PartSync, table: Table['table']): boolean {
    return this.#verified.has(part) || !part.state.tables.includes(table);
  }

  #noteVerified(family: Family, found: ReadonlyMap<PartSync, QuickCheck>): void {
    for (const [part, seen] of found) {
      if (seen === 'nothing') {
        this.#verified.add(part);
        this.#options.onVerified(family, part.part);
      } else this.#verified.delete(part);
    }
  }

  async #keepCanary(table: Table, news: ChangeNews): Promise<void> {
    if (news === 'unknown') await this.#options.canaryKeeper?.silent(table, this.#stop.signal);
    else this.#options.canaryKeeper?.sings(table);
  }

  /** Raises suspicion; whether there was anything to suspect. */
  #answer(found: ReadonlyMap<PartSync, QuickCheck>): boolean {
    const { onSuspicion } = this.#options;
    const suspects = (what: QuickCheck): readonly PartSync[] =>
      [...found].flatMap(([part, seen]) => (seen === what ? [part] : []));
    const [changed, sets, displaced] = [suspects('changed'), suspects('sets'), suspects('displaced')];
    if (changed.length > 0)
      onSuspicion('somebody else changed the rules', [...changed, ...sets, ...displaced]);
    else if (sets.length > 0) onSuspicion('somebody else changed the sets', [...sets, ...displaced]);
    else if (displaced.length > 0) this.#answerDisplacement(displaced);
    return changed.length + sets.length + displaced.length > 0;
  }

  #answerDisplacement(displaced: readonly PartSync[]): void {
    const { clock, onContest, onSuspicion } = this.#options;
    const move = this.#contest.displaced(clock.now());
    if (move === 'wait') return;
    if (move === 'repair and warn') onContest(this.#contest.moves);
    onSuspicion("somebody else put a rule in front of Weir's", displaced);
  }
}
