import type { ApplyReport, KernelWriter } from '../../pkg/apply/index.ts';

import {
  type ChainName,
  isEmptyPlan,
  type Plan,
  RuleState,
  type SetSizes,
  type TableSnapshot,
} from '../../pkg/kernel/index.ts';
import { isPolicyChain } from '../../pkg/policy/iptables/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';

export interface FamilyWrite {
  readonly plan: Plan;
  readonly report: ApplyReport;
}

/** What a glance at the kernel finds changed by somebody else; `unknown` while the kernel has to be read anyway. */
export type Glance = 'unknown' | 'nothing' | 'rules' | 'sets';

/** Tables that Weir writes. */
const tables = ['filter', 'nat'] as const;

/** Brings one family's rules in the kernel to what they should be. After a failure it reads the kernel before it goes on. */
export class FamilySync {
  readonly state: RuleState;
  readonly #writer: KernelWriter;
  readonly #now: () => number;
  /** The kernel may hold anything: at start, after a write that failed, or when somebody else has written. */
  #unknown = true;
  #hasWritten = false;
  /** Beginnings and ends of writes: what was read elsewhere meanwhile says nothing. */
  #writeSteps = 0;
  /** What was said of the sizes of sets since the last write. What a full read found no fault with is not said again. */
  #oddSizes = '';

  constructor(state: RuleState, writer: KernelWriter, now: () => number) {
    this.state = state;
    this.#writer = writer;
    this.#now = now;
  }

  /** Forgets what is believed of the kernel: the next refresh reads it. */
  invalidate(): void {
    this.#unknown = true;
  }

  /**
   * Reads the kernel where what it holds is not known; returns how long that took, in milliseconds. Throws what the writer throws,
   * and WEIR_OTHER_PROXY when kube-proxy's chains have come back since Weir took them away.
   */
  async refresh(signal: AbortSignal): Promise<number | undefined> {
    if (!this.#unknown) return undefined;
    const start = this.#now();
    const snapshot = await this.#writer.read(tables, { signal });
    const chains = [...(snapshot.tables.get('nat')?.chains.keys() ?? [])];
    if (this.#hasWritten && chains.some((name) => this.#hasComeBack(name))) {
      const message = `another proxy writes ${this.state.family} Service rules (KUBE-SEP- chains came back)`;
      throw new WeirError('WEIR_OTHER_PROXY', message);
    }
    this.state.replaceApplied(snapshot);
    this.#unknown = false;
    return this.#now() - start;
  }

  /** A chain of kube-proxy's that was gone. One that somebody else refers to could not be deleted and has been there all along. */
  #hasComeBack(chain: ChainName): boolean {
    return chain.startsWith('KUBE-SEP-') && this.state.appliedChain('nat', chain) === undefined;
  }

  /**
   * Writes policy rules of somebody else's making, unless the kernel has policy rules of Weir already; the first sync finds
   * them and puts its own in their place. Whether it wrote.
   */
  async writeBeforeFirstSync(fill: (state: RuleState) => void, signal: AbortSignal): Promise<boolean> {
    const filter = await this.#writer.readFilter({ signal });
    if ([...(filter?.chains.keys() ?? [])].some((chain) => isPolicyChain('filter', chain))) return false;
    await this.#writeBeside(filter, fill, signal);
    return true;
  }

  /** Writes filter rules that the first sync will take over, beside whatever the kernel has. Throws what the writer throws. */
  async writeAhead(fill: (state: RuleState) => void, signal: AbortSignal): Promise<void> {
    await this.#writeBeside(await this.#writer.readFilter({ signal }), fill, signal);
  }

  async #writeBeside(
    filter: TableSnapshot | undefined,
    fill: (state: RuleState) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const state = new RuleState(this.state.family, { chain: () => 'foreign', set: () => false });
    state.replaceAppliedTable('filter', filter);
    fill(state);
    await this.#writer.apply(state.plan(), { signal });
  }

  /** Writes the difference; `undefined` when there is none. Throws what the writer throws. */
  async write(signal: AbortSignal): Promise<FamilyWrite | undefined> {
    const plan = this.state.plan();
    if (isEmptyPlan(plan)) return undefined;
    this.#writeSteps += 1;
    try {
      const report = await this.#writer.apply(plan, { signal });
      this.state.applied(plan);
      this.#hasWritten = true;
      this.#oddSizes = '';
      return { plan, report };
    } catch (error) {
      this.#unknown = true;
      throw error;
    } finally {
      this.#writeSteps += 1;
    }
  }

  /** Resolves when no write and no look is under way. */
  idle(): Promise<void> {
    return this.#writer.idle();
  }

  /**
   * Looks only where every flush leaves a trace, which is cheap however many Services there are: the filter table, the first nat chain
   * that packets meet, and the number of members of each set, which somebody else begins to read now. A member that is exchanged for
   * another is not seen.
   */
  async glance(setSizes: Promise<SetSizes>, signal: AbortSignal): Promise<Glance> {
    const steps = this.#writeSteps;
    const [filter, prerouting, sizes] = await Promise.all([
      this.#writer.readFilter({ signal }),
      this.#writer.readChain('nat', 'PREROUTING', { signal }),
      setSizes,
    ]);
    if (this.#unknown) return 'unknown';
    this.state.replaceAppliedTable('filter', filter);
    this.state.replaceAppliedBuiltin('nat', 'PREROUTING', prerouting);
    if (steps === this.#writeSteps && this.#isNewlyOdd(sizes)) return 'sets';
    return isEmptyPlan(this.state.plan()) ? 'nothing' : 'rules';
  }

  #isNewlyOdd(sizes: SetSizes): boolean {
    const before = this.#oddSizes;
    this.#oddSizes = this.state.setsOfOtherSize(sizes).join(', ');
    return this.#oddSizes !== '' && this.#oddSizes !== before;
  }
}
