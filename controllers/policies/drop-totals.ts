import type { Family } from '../../pkg/net/index.ts';

interface Total {
  packets: number;
  /** When its chain was last wanted, in milliseconds; `undefined` while it is. */
  goneSince: number | undefined;
}

/** Long enough for the last scrape to see the last count. */
const shownAfterGoneMs = 600_000;
/** A profile that comes back within these goes on where it was. */
const mostGone = 1000;

/**
 * Adds up what rules counted, across the rewrites of their chains: a counter that is smaller than it was has started again from
 * zero. What a rule counted between the last reading and its rewrite is lost, so totals are low rather than high; they never fall.
 */
export class DropTotals {
  readonly #last = new Map<Family, ReadonlyMap<string, number>>();
  readonly #totals = new Map<string, Total>();

  /**
   * A reading of all chains of a family. The first one is where counting starts: what is in it was counted by the process
   * before this one.
   */
  read(family: Family, packets: ReadonlyMap<string, number>): void {
    const last = this.#last.get(family);
    this.#last.set(family, packets);
    if (last === undefined) return;
    for (const [chain, count] of packets) {
      const before = last.get(chain) ?? 0;
      this.#total(chain).packets += count >= before ? count - before : count;
    }
  }

  /** Which chains there should be now: they start with 0, and the others are forgotten after a while. */
  keep(chains: Iterable<string>, now: number): void {
    const wanted = new Set(chains);
    for (const chain of wanted) this.#total(chain).goneSince = undefined;
    const gone: string[] = [];
    for (const [chain, total] of this.#totals) {
      if (wanted.has(chain)) continue;
      total.goneSince ??= now;
      gone.push(chain);
    }
    const since = (chain: string): number => this.#totals.get(chain)?.goneSince ?? now;
    const oldestFirst = gone.toSorted((a, b) => since(a) - since(b));
    for (const chain of oldestFirst.slice(0, Math.max(gone.length - mostGone, 0))) this.#totals.delete(chain);
  }

  /** Totals of the chains that there are or were until lately, in order of name. */
  totals(now: number): readonly (readonly [chain: string, packets: number])[] {
    return [...this.#totals]
      .filter(([, { goneSince }]) => goneSince === undefined || now - goneSince < shownAfterGoneMs)
      .map(([chain, { packets }]) => [chain, packets] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
  }

  #total(chain: string): Total {
    let total = this.#totals.get(chain);
    if (total === undefined) {
      total = { packets: 0, goneSince: undefined };
      this.#totals.set(chain, total);
    }
    return total;
  }
}
