import type { KernelWriter, RefusedElement } from '../../pkg/apply/index.ts';
import type { Table } from '../../pkg/change-signal/index.ts';
import {
  type BuiltinChains,
  chainName,
  isEmptyPlan,
  type KernelSnapshot,
  type Ownership,
  type Plan,
  planTogether,
  RuleState,
  type SetName,
  type SetSizes,
  type SetType,
  type TableName,
  type TableSnapshot,
} from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { isPolicyChain } from '../../pkg/policy/iptables/index.ts';
import type { ChangeWatch } from './change-watch.ts';
import type { Part } from './part-ownership.ts';
import type { PartSync, QuickCheck } from './part-sync.ts';
import type { Resync } from './resync-timer.ts';

/** What became of one part when the kernel was read. */
export interface PartRead {
  readonly part: PartSync;
  /** What was read. */
  readonly what: Resync;
  /** How long reading took, in milliseconds. */
  readonly readMs: number;
  /** Chains of another proxy are there again. */
  readonly otherProxyIsBack: boolean;
  /** Why it could not be read. */
  readonly error?: unknown;
}

/** What became of one part when it was to be written. */
export interface PartWrite {
  readonly part: PartSync;
  /** `undefined` when there was nothing to write. */
  readonly plan: Plan | undefined;
  /** Sets that should have gone and stay, because something else looks into them. */
  readonly heldSets: readonly SetName[];
  /** Why it is not in the kernel. Parts that were written together have the same one. */
  readonly error?: unknown;
  /** What of this part the kernel refuses for what it says; empty when the error was about something else. */
  readonly refused?: readonly RefusedElement[];
}

export interface FamilySyncOptions {
  readonly family: Family;
  readonly writer: KernelWriter;
  /** Tells changes of others from those of a write. */
  readonly changes?: Pick<ChangeWatch, 'aroundWrite'> | undefined;
  /** What the kernel's own chains hold, as all parts know them. */
  readonly builtins: BuiltinChains;
  /** In the order in which they are written. */
  readonly parts: readonly PartSync[];
  readonly now: () => number;
}

/** What became of a plan. */
interface Applied {
  readonly heldSets: readonly SetName[];
  /** Why it is not in the kernel, or not all of it. */
  readonly error?: unknown;
}

/**
 * Brings the rules of one family in the kernel to what they should be, part by part. After a failure a part reads the kernel before it
 * goes on, and no part waits for another; where several have something to write, they do it in one write.
 */
export class FamilySync {
  readonly family: Family;
  readonly parts: readonly PartSync[];
  readonly #options: FamilySyncOptions;
  /** As the kernel was last read. */
  #isOff = false;
  /** Parts of a write that failed: the next time each is written by itself, so that the guilty one fails alone. */
  readonly #suspects = new Set<PartSync>();

  constructor(options: FamilySyncOptions) {
    this.#options = options;
    this.family = options.family;
    this.parts = options.parts;
  }

  /** The kernel or the programs have nothing of this family now. */
  get isAbsent(): boolean {
    return this.parts.every((part) => part.isAbsent);
  }

  /** Why policies are not enforced although packets of the family may pass; `undefined` where nothing stands against them. */
  get unenforceable(): string | undefined {
    const policies = this.part('policies');
    return this.#isOff || policies?.isAbsent !== true ? undefined : policies.state.unavailable.get('filter');
  }

  /** The tables that these parts write and the kernel has; of all parts unless some are named. */
  tables(parts: readonly PartSync[] = this.parts): readonly Table[] {
    const { family } = this;
    return (['filter', 'nat'] as const).flatMap((table) =>
      parts.some(({ state }) => state.tables.includes(table) && !state.unavailable.has(table))
        ? [{ family, table }]
        : [],
    );
  }

  part(name: Part): PartSync | undefined {
    return this.parts.find(({ part }) => part === name);
  }

  /** Reads the kernel for those of these parts that do not know it, in one go where that works. Empty: there was nothing to read. */
  async refresh(parts: readonly PartSync[], signal: AbortSignal): Promise<readonly PartRead[]> {
    const unknown = parts.filter(({ isUnknown }) => isUnknown);
    const start = this.#options.now();
    const failed = (part: PartSync, what: Resync, error: unknown): PartRead => ({
      part,
      what,
      readMs: this.#options.now() - start,
      otherProxyIsBack: false,
      error,
    });
    const readFor = async (some: readonly PartSync[]): Promise<readonly PartRead[]> => {
      const tables = [...new Set(some.flatMap(({ state }) => state.tables))];
      const { writer } = this.#options;
      const snapshot = await writer.read(tables, { signal, known: this.#known, available: true });
      await writer.moveToFront(snapshot, { signal });
      this.#isOff = snapshot.isOff === true;
      return some.map((part) => this.#takeIn(part, snapshot, start));
    };
    const readAlone = (part: PartSync): Promise<readonly PartRead[]> =>
      readFor([part]).catch((error: unknown) => [failed(part, 'everything', error)]);
    const setsOnly = parts.filter(({ setsAreUnknown }) => setsAreUnknown);
    const readSets = (): Promise<readonly PartRead[]> =>
      this.#readSets(setsOnly, start, signal).catch((error: unknown) =>
        setsOnly.map((part) => failed(part, 'sets', error)),
      );
    const sets = setsOnly.length === 0 ? [] : await readSets();
    if (unknown.length < 2) return [...sets, ...(await Promise.all(unknown.map(readAlone))).flat()];
    try {
      return [...sets, ...(await readFor(unknown))];
    } catch {
      // What one part needs may be readable although another's is not.
      return [...sets, ...(await Promise.all(unknown.map(readAlone))).flat()];
    }
  }

  /** Chains that were there when Weir last looked or wrote, for tables that cannot be read whole. */
  readonly #known = (table: TableName): Iterable<string> =>
    this.parts.flatMap(({ state }) => [...state.appliedChains(table)]);

  async #readSets(
    parts: readonly PartSync[],
    start: number,
    signal: AbortSignal,
  ): Promise<readonly PartRead[]> {
    const snapshot = await this.#options.writer.read([], { signal });
    for (const part of parts) part.takeInSets(snapshot);
    const readMs = this.#options.now() - start;
    return parts.map((part) => ({ part, what: 'sets', readMs, otherProxyIsBack: false }));
  }

  #takeIn(part: PartSync, snapshot: KernelSnapshot, start: number): PartRead {
    const otherProxyIsBack = part.takeIn(snapshot);
    return { part, what: 'everything', readMs: this.#options.now() - start, otherProxyIsBack };
  }

  /** Writes what differs of these parts: together, unless one of them has just failed. Never rejects. */
  async write(parts: readonly PartSync[], signal: AbortSignal): Promise<readonly PartWrite[]> {
    const isApart = parts.some((part) => this.#suspects.has(part));
    const results: PartWrite[] = [];
    for (const group of isApart ? parts.map((part) => [part]) : [parts])
      results.push(...(await this.#writeTogether(group, signal)));
    return results;
  }

  async #writeTogether(parts: readonly PartSync[], signal: AbortSignal): Promise<readonly PartWrite[]> {
    const [first, ...others] = parts;
    if (first === undefined) return [];
    const { plans, whole } = planTogether([first.state, ...others.map(({ state }) => state)]);
    const planned = parts.map((part, index) => ({ part, plan: nonEmpty(plans[index]) }));
    const { error, heldSets }: Applied = isEmptyPlan(whole)
      ? { heldSets: [] }
      : await this.#apply(whole, signal);
    const refused = error === undefined ? [] : await this.#findRefused(whole, error, signal);
    if (error === undefined && parts.some(({ takesOver }) => takesOver)) await this.#takeCanary(signal);
    return planned.map(({ part, plan }): PartWrite => {
      if (plan === undefined || error === undefined) {
        part.inForce(plan, heldSets);
        this.#suspects.delete(part);
        return { part, plan, heldSets: heldSets.filter((set) => plan?.destroySets.includes(set)) };
      }
      part.invalidate();
      this.#suspects.add(part);
      return {
        part,
        plan,
        heldSets: [],
        error,
        refused: refused.filter(({ element }) => part.has(element)),
      };
    });
  }

  /** Never rejects: that the search failed is no news beside the failure that it is about. */
  async #findRefused(plan: Plan, error: unknown, signal: AbortSignal): Promise<readonly RefusedElement[]> {
    const typeOf = (set: SetName): SetType | undefined =>
      this.parts.map(({ state }) => state.setType(set)).find((type) => type !== undefined);
    const { writer } = this.#options;
    try {
      return await this.#toldApart(() => writer.findRefused(plan, error, typeOf, { signal }));
    } catch {
      return [];
    }
  }

  /** Executes the plan. */
  async #apply(plan: Plan, signal: AbortSignal): Promise<Applied> {
    const { writer } = this.#options;
    try {
      const { heldSets } = await this.#toldApart(() => writer.apply(plan, { signal }));
      return { heldSets };
    } catch (error) {
      return { heldSets: [], error };
    }
  }

  /** A write, so that changes by others right before and right after it are seen to be theirs. */
  async #toldApart<T>(write: () => Promise<T>): Promise<T> {
    const { changes } = this.#options;
    await changes?.aroundWrite();
    try {
      return await write();
    } finally {
      await changes?.aroundWrite();
    }
  }

  /**
   * By the canary kube-proxy notices that its rules are gone, and it looks for it in the mangle table only: a living one writes again within
   * its sync period. Where the kernel has no such table there is no canary, and one that stays does no harm.
   */
  async #takeCanary(signal: AbortSignal): Promise<void> {
    const { family } = this;
    const name = chainName('KUBE-PROXY-CANARY');
    const nothing = new RuleState(family, nothingOwned).plan();
    await this.#apply({ ...nothing, deleteChains: [{ table: 'mangle', name }] }, signal);
  }

  /** Resolves when no write and no look is under way. */
  idle(): Promise<void> {
    return this.#options.writer.idle();
  }

  /**
   * Looks only where every flush leaves a trace, which is cheap however many Services there are: the filter table, the first nat chain
   * that packets meet, both only if they are among `tables`, and the number of members of each set, which somebody else begins to read
   * now. Compares with what was written or read last, not with what is wanted. A member that is exchanged for another is not seen.
   */
  async quickCheck(
    parts: readonly PartSync[],
    { tables, setSizes }: { readonly tables: ReadonlySet<TableName>; readonly setSizes: Promise<SetSizes> },
    signal: AbortSignal,
  ): Promise<ReadonlyMap<PartSync, QuickCheck>> {
    const { writer, builtins } = this.#options;
    if (this.isAbsent) return new Map(parts.map((part) => [part, 'unknown']));
    const steps = writer.writeSteps;
    const readFilter = async () => ({ table: await writer.readFilter({ signal, known: this.#known }) });
    const [filter, prerouting, sizes] = await Promise.all([
      tables.has('filter') ? readFilter() : undefined,
      tables.has('nat') ? writer.readChain('nat', 'PREROUTING', { signal }) : undefined,
      setSizes,
    ]);
    // A write that overlaps: what was seen is neither what was left before it nor what it leaves.
    if (steps !== writer.writeSteps) return new Map(parts.map((part) => [part, 'unknown']));
    const found = new Map(parts.map((part) => [part, part.check({ filter, prerouting, sizes })]));
    // Whoever inserts a jump now must know where ours stand.
    if ([...found.values()].includes('displaced')) builtins.replaceTable('filter', filter?.table);
    return found;
  }

  /**
   * Writes policy rules of somebody else's making, unless the kernel has policy rules of Weir already; the first sync finds
   * them and puts its own in their place. Whether it wrote.
   */
  async writeBeforeFirstSync(fill: (state: RuleState) => void, signal: AbortSignal): Promise<boolean> {
    const filter = await this.#options.writer.readFilter({ signal });
    if ([...(filter?.chains.keys() ?? [])].some((chain) => isPolicyChain('filter', chain))) return false;
    await this.#writeBeside(filter, fill, signal);
    return true;
  }

  /** Writes filter rules that the first sync will take over, beside whatever the kernel has. Throws what the writer throws. */
  async writeAhead(fill: (state: RuleState) => void, signal: AbortSignal): Promise<void> {
    await this.#writeBeside(await this.#options.writer.readFilter({ signal }), fill, signal);
  }

  async #writeBeside(
    filter: TableSnapshot | undefined,
    fill: (state: RuleState) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const state = new RuleState(this.family, nothingOwned);
    state.replaceAppliedTable('filter', filter);
    fill(state);
    await this.#options.writer.apply(state.plan(), { signal });
  }
}

const nothingOwned: Ownership = { chain: () => 'foreign', jump: () => false, set: () => false };

function nonEmpty(plan: Plan | undefined): Plan | undefined {
  return plan === undefined || isEmptyPlan(plan) ? undefined : plan;
}
