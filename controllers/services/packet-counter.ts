import { parseRuleCounters } from '../../pkg/kernel/index.ts';
import type { Metrics } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { countedRules } from '../../pkg/service/iptables/index.ts';

type Counted = keyof typeof countedRules;
const names = ['invalidDropped', 'localhostAccepted'] as const satisfies readonly Counted[];

/**
 * Adds up what the static rules of Services refuse and accept. What a rule had counted before this process began is in it; a
 * rule that is written anew, as after a flush, goes on from the last count that was seen.
 */
export class PacketCounter {
  readonly #metrics: Metrics['packets'];
  readonly #last = new Map<`${Family} ${Counted}`, number>();
  readonly #totals: Record<Counted, number> = { invalidDropped: 0, localhostAccepted: 0 };

  constructor(metrics: Metrics['packets']) {
    this.#metrics = metrics;
  }

  /** What `iptables-save -c` says of the filter table of each family. */
  read(saved: ReadonlyMap<Family, string>): void {
    const rules = names.map((name) => countedRules[name]);
    for (const [family, text] of saved) {
      const packets = parseRuleCounters(text, rules);
      for (const [index, name] of names.entries()) this.#count(family, name, packets[index]);
    }
    this.#metrics.setPackets(this.#totals);
  }

  /** A counter that is smaller than it was has started again from zero. */
  #count(family: Family, name: Counted, packets: number | undefined): void {
    if (packets === undefined) return;
    const before = this.#last.get(`${family} ${name}`) ?? 0;
    this.#last.set(`${family} ${name}`, packets);
    this.#totals[name] += packets >= before ? packets - before : packets;
  }
}
