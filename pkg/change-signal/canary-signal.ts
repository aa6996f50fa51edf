import type { Family } from '../net/index.ts';
import { Canary, type CanarySong, silence } from './canary.ts';
import type { ChangeSignal, Table, TableNews } from './change-signal.ts';

export interface CanarySignalOptions {
  /** The canary of a table does not work on this node, and why; told once until it works again. */
  readonly onProblem: (problem: string) => void;
  readonly createCanary?: (family: Family) => Pick<Canary, 'sing' | 'stop'>;
}

/** Until then the canary may be missing, and whoever asks repairs the rules. */
const silentTimes = 5;

/** Notices every change of a table of legacy iptables by the canary in it. */
export class CanarySignal implements ChangeSignal {
  readonly #options: CanarySignalOptions;
  readonly #canaries = new Map<Family, Pick<Canary, 'sing' | 'stop'>>();
  /** How often in a row the canary of a table has not sung at all. */
  readonly #silent = new Map<string, number>();

  constructor(options: CanarySignalOptions) {
    this.#options = options;
  }

  async ask(tables: readonly Table[]): Promise<(table: Table) => TableNews> {
    const byFamily = [...Map.groupBy(tables, ({ family }) => family)];
    const songs = await Promise.all(byFamily.map(([family, ofFamily]) => this.#news(family, ofFamily)));
    const news = new Map(songs.flat());
    return ({ family, table }) => news.get(`${family} ${table}`) ?? 'unknown';
  }

  stop(): void {
    for (const canary of this.#canaries.values()) canary.stop();
  }

  /** Every write makes the canary silent once; where it sings then, it works. */
  async #news(family: Family, tables: readonly Table[]): Promise<readonly (readonly [string, TableNews])[]> {
    const canary = this.#canary(family);
    let reason = 'its packets do not get through';
    const sing = (): Promise<CanarySong> =>
      canary.sing().catch((error: unknown) => {
        reason = error instanceof Error ? error.message : String(error);
        return silence;
      });
    const first = await sing();
    const second = tables.every(({ table }) => first[table]) ? first : await sing();
    return tables.map(({ table }) => {
      const name = `${family} ${table}`;
      if (!second[table]) this.#stayedSilent(name, reason);
      else this.#silent.delete(name);
      if (first[table]) return [name, 'unchanged'];
      return [name, second[table] ? 'changed' : 'unknown'];
    });
  }

  #canary(family: Family): Pick<Canary, 'sing' | 'stop'> {
    const { createCanary = (one) => new Canary(one) } = this.#options;
    const canary = this.#canaries.get(family) ?? createCanary(family);
    this.#canaries.set(family, canary);
    return canary;
  }

  #stayedSilent(name: string, reason: string): void {
    const times = (this.#silent.get(name) ?? 0) + 1;
    this.#silent.set(name, times);
    if (times === silentTimes) this.#options.onProblem(`the canary of ${name} is silent: ${reason}`);
  }
}
