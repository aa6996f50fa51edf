import { type FamilyTools, readRuleCounters } from '../../pkg/apply/index.ts';
import type { Metrics } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { Clock, CommandRunner } from '../../pkg/runtime/index.ts';
import { countedRules } from '../../pkg/service/iptables/index.ts';

export interface PacketCounterOptions {
  readonly clock: Clock;
  readonly commands: CommandRunner;
  /** One for each family. */
  readonly tools: readonly FamilyTools[];
  readonly metrics: Metrics['packets'];
  /** The counters of a family could not be read; the next scrape tries again. */
  readonly onError: (error: unknown) => void;
}

type Counted = keyof typeof countedRules;
const names = ['invalidDropped', 'localhostAccepted'] as const satisfies readonly Counted[];

/** A scrape reads again what is older than this … */
const staleMs = 5000;
/** … and waits for it no longer than this. */
const scrapeWaitMs = 1000;

/**
 * Counts what the static rules of Services refuse and accept, when somebody asks. What a rule had counted before this process
 * began is in it; a rule that is written anew, as after a flush, goes on from the last count that was seen.
 */
export class PacketCounter {
  readonly #options: PacketCounterOptions;
  readonly #last = new Map<`${Family} ${Counted}`, number>();
  readonly #totals: Record<Counted, number> = { invalidDropped: 0, localhostAccepted: 0 };
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: PacketCounterOptions) {
    this.#options = options;
  }

  /** For a scrape: brings the metrics up to date, unless that would keep it waiting. */
  async refresh(): Promise<void> {
    const { clock } = this.#options;
    if (clock.now() - this.#readAt < staleMs) return;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    const waited = new AbortController();
    const patience = clock.sleep(scrapeWaitMs, waited.signal).catch(() => undefined);
    await Promise.race([this.#reading, patience]);
    waited.abort(new Error('done'));
  }

  async #read(): Promise<void> {
    const { clock, tools, metrics } = this.#options;
    await Promise.all(tools.map((family) => this.#readFamily(family)));
    this.#readAt = clock.now();
    metrics.setPackets(this.#totals);
  }

  async #readFamily(tools: FamilyTools): Promise<void> {
    const { commands, onError } = this.#options;
    const rules = names.map((name) => countedRules[name]);
    try {
      const packets = await readRuleCounters(commands, tools, rules);
      for (const [index, name] of names.entries()) this.#count(tools.family, name, packets[index]);
    } catch (error) {
      onError(error);
    }
  }

  /** A counter that is smaller than it was has started again from zero. */
  #count(family: Family, name: Counted, packets: number | undefined): void {
    if (packets === undefined) return;
    const before = this.#last.get(`${family} ${name}`) ?? 0;
    this.#last.set(`${family} ${name}`, packets);
    this.#totals[name] += packets >= before ? packets - before : packets;
  }
}
