import type { BurstResult, Outcome, ProbeChange, ProbeReport } from './protocol.ts';

const maxChanges = 1000;
/** Attempts that hang must not pile up without end. */
const maxUnderWay = 500;

/** Tries the same thing again and again until it is stopped. */
export class Probe {
  readonly #attempt: () => Promise<Outcome>;
  readonly #timer: NodeJS.Timeout;
  readonly #underWay = new Set<Promise<void>>();
  readonly #counts = new Tally();
  readonly #changes: ProbeChange[] = [];
  #attempts = 0;

  constructor(everyMs: number, attempt: () => Promise<Outcome>) {
    this.#attempt = attempt;
    this.#timer = setInterval(() => this.#start(), everyMs);
    this.#start();
  }

  async stop(): Promise<ProbeReport> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    return { ...this.#counts.result(), attempts: this.#attempts, changes: this.#changes };
  }

  #start(): void {
    if (this.#underWay.size >= maxUnderWay) return;
    this.#attempts += 1;
    const run = this.#runOnce().finally(() => this.#underWay.delete(run));
    this.#underWay.add(run);
  }

  async #runOnce(): Promise<void> {
    const startedAt = Date.now();
    const outcome = await this.#attempt();
    this.#counts.add(outcome);
    const result = outcome.kind === 'reply' ? outcome.name : outcome.kind;
    if (this.#changes.length >= maxChanges || this.#changes.at(-1)?.result === result) return;
    this.#changes.push({ startedAt, endedAt: Date.now(), result });
  }
}

/** Counts outcomes as they come. */
class Tally {
  readonly #replies = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  readonly #seen = new Set<string>();

  add(outcome: Outcome): void {
    const counts = outcome.kind === 'reply' ? this.#replies : this.#failures;
    const label = outcome.kind === 'reply' ? outcome.name : outcome.kind;
    counts.set(label, (counts.get(label) ?? 0) + 1);
    if (outcome.kind === 'reply') this.#seen.add(outcome.seenAddress);
  }

  result(): BurstResult {
    return {
      replies: sortedRecord(this.#replies),
      failures: sortedRecord(this.#failures),
      seenAddresses: [...this.#seen].toSorted(),
    };
  }
}

export function tally(outcomes: readonly Outcome[]): BurstResult {
  const counts = new Tally();
  for (const outcome of outcomes) counts.add(outcome);
  return counts.result();
}

function sortedRecord(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
