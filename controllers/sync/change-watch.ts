import type { KernelWriter } from '../../pkg/apply/index.ts';
import type { ChangeSignal, Table, TableNews } from '../../pkg/change-signal/index.ts';
import type { Family } from '../../pkg/net/index.ts';

/** `changed` told apart: while Weir itself writes nobody can say whether others write as well. */
export type ChangeNews = Exclude<TableNews, 'changed'> | 'written' | 'changed by others';

/** What counts where several were told since the last time. */
const weights: Readonly<Record<ChangeNews, number>> = {
  unchanged: 0,
  written: 1,
  'changed by others': 2,
  unknown: 3,
};

/** Asks the signal, and keeps the changes of others apart from Weir's own. */
export class ChangeWatch {
  readonly #signal: ChangeSignal;
  readonly #writers: ReadonlyMap<Family, Pick<KernelWriter, 'writeSteps'>>;
  readonly #tables: () => readonly Table[];
  #writeSteps: readonly number[] = [];
  /** By `FAMILY TABLE`, since `ask`. */
  #told = new Map<string, ChangeNews>();
  #works = false;
  #taking: Promise<void> = Promise.resolve();

  /** `tables`: those that there are now. */
  constructor(
    signal: ChangeSignal,
    writers: ReadonlyMap<Family, Pick<KernelWriter, 'writeSteps'>>,
    tables: () => readonly Table[],
  ) {
    this.#signal = signal;
    this.#writers = writers;
    this.#tables = tables;
  }

  /** What became of the tables since the last time. Whoever reads a table after this call sees all that it tells of, or more. Never rejects. */
  async ask(): Promise<(table: Table) => ChangeNews> {
    await this.#take();
    const told = this.#told;
    this.#told = new Map();
    return ({ family, table }) => told.get(`${family} ${table}`) ?? 'unknown';
  }

  /** To be awaited right before and right after a write of Weir's own: so the changes of others before and after it are seen to be theirs. */
  async aroundWrite(): Promise<void> {
    if (this.#works) await this.#take();
  }

  stop(): void {
    this.#signal.stop();
  }

  /** The signal takes one question at a time. */
  #take(): Promise<void> {
    this.#taking = this.#taking.then(() => this.#takeNow());
    return this.#taking;
  }

  async #takeNow(): Promise<void> {
    // Before the signal: a write that begins in between counts the next time.
    const steps = Array.from(this.#writers.values(), ({ writeSteps }) => writeSteps);
    const hasWritten = steps.some((step, index) => step !== (this.#writeSteps[index] ?? 0) || step % 2 !== 0);
    this.#writeSteps = steps;
    const tables = this.#tables();
    const newsOf = await this.#signal.ask(tables);
    const changed = hasWritten ? 'written' : 'changed by others';
    this.#works = true;
    for (const table of tables) {
      const news = newsOf(table);
      this.#note(`${table.family} ${table.table}`, news === 'changed' ? changed : news);
    }
  }

  #note(table: string, news: ChangeNews): void {
    if (news === 'unknown') this.#works = false;
    const before = this.#told.get(table) ?? 'unchanged';
    this.#told.set(table, weights[news] > weights[before] ? news : before);
  }
}
