import {
  type ChainName,
  type Drift,
  type KernelSnapshot,
  type MemberElement,
  type Plan,
  type RuleElement,
  type RuleState,
  type SetName,
  type SetSizes,
  type TableSnapshot,
} from '../../pkg/kernel/index.ts';
import type { Part } from './part-ownership.ts';

/** What a quick check finds changed by somebody else; `unknown`: it can't tell, because Weir writes or has to read anyway. */
export type QuickCheck = Drift | 'sets' | 'unknown';

/** What a quick check has looked at; `undefined` where it has not looked. */
export interface QuickLook {
  /** Without a table: the kernel has none. */
  readonly filter: { readonly table: TableSnapshot | undefined } | undefined;
  /** The first nat chain that packets meet. */
  readonly prerouting: readonly string[] | undefined;
  readonly sizes: SetSizes;
}

/** One part of Weir's rules in one family: what is wanted, and what is believed of the kernel. */
export class PartSync {
  readonly part: Part;
  readonly state: RuleState;
  /** Where the kernel may hold anything: at start, after a write that failed, or when somebody else has written. */
  #unknown: 'nothing' | 'sets' | 'everything' = 'everything';
  #hasBeenInForce = false;
  #takesOver = false;
  /** What was said of the sizes of sets since the last write. What a full read found no fault with is not said again. */
  #oddSizes = '';

  constructor(part: Part, state: RuleState) {
    this.part = part;
    this.state = state;
  }

  /** Whether the kernel has to be read before this part can be written. */
  get isUnknown(): boolean {
    return this.#unknown === 'everything';
  }

  /** The same for the sets alone. */
  get setsAreUnknown(): boolean {
    return this.#unknown === 'sets';
  }

  /** The kernel has none of the part's tables: there is nothing to write, and nothing is enforced. */
  get isAbsent(): boolean {
    return this.state.tables.every((table) => this.state.unavailable.has(table));
  }

  /** Whether the part wants this rule or member. */
  has(element: RuleElement | MemberElement): boolean {
    return element.kind === 'member'
      ? this.state.setType(element.set) !== undefined
      : this.state.desiredChain(element.table, element.chain) !== undefined;
  }

  /** Forgets what is believed of the kernel: the next refresh reads it. */
  invalidate(): void {
    this.#unknown = 'everything';
  }

  /** The same for the sets alone. */
  invalidateSets(): void {
    if (this.#unknown === 'nothing') this.#unknown = 'sets';
  }

  /** Takes in what was read of the sets. */
  takeInSets(snapshot: Pick<KernelSnapshot, 'sets'>): void {
    this.state.replaceAppliedSets(snapshot);
    if (this.#unknown === 'sets') this.#unknown = 'nothing';
  }

  /**
   * Takes in what was read. Whether chains of another proxy have come back since the part was in force. One that somebody else refers to
   * could not be deleted and has been there all along.
   */
  takeIn(snapshot: KernelSnapshot): boolean {
    const isOtherProxys = (chain: ChainName): boolean =>
      chain.startsWith('KUBE-SEP-') && this.state.appliedChain('nat', chain) === undefined;
    const chains = this.part === 'services' ? [...(snapshot.tables.get('nat')?.chains.keys() ?? [])] : [];
    const haveComeBack = this.#hasBeenInForce && chains.some(isOtherProxys);
    this.state.replaceApplied(snapshot);
    this.#unknown = 'nothing';
    return haveComeBack;
  }

  /** The next write takes the rules over from another proxy. */
  takeOver(): void {
    this.#takesOver = true;
  }

  get takesOver(): boolean {
    return this.#takesOver;
  }

  /** The plan is in the kernel but for these sets, which could not go; or there was nothing to do. */
  inForce(plan: Plan | undefined, heldSets: readonly SetName[] = []): void {
    this.#hasBeenInForce = true;
    this.#takesOver = false;
    if (plan === undefined) return;
    this.state.applied(plan, heldSets);
    this.#oddSizes = '';
  }

  /** What others have changed since the part was written or read, as far as such a look can tell. */
  check({ filter, prerouting, sizes }: QuickLook): QuickCheck {
    if (this.isUnknown || this.isAbsent) return 'unknown';
    const inFilter = filter === undefined ? 'nothing' : this.state.driftInTable('filter', filter.table);
    if (inFilter === 'changed') return 'changed';
    if (prerouting !== undefined && this.state.driftInChain('nat', 'PREROUTING', prerouting) !== 'nothing')
      return 'changed';
    return this.#isNewlyOdd(sizes) ? 'sets' : inFilter;
  }

  #isNewlyOdd(sizes: SetSizes): boolean {
    const before = this.#oddSizes;
    this.#oddSizes = this.state.setsOfOtherSize(sizes).join(', ');
    return this.#oddSizes !== '' && this.#oddSizes !== before;
  }
}
