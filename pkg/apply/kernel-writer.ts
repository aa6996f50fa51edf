import PQueue from 'p-queue';
import {
  jumpsOfUnknownPlace,
  type KernelSnapshot,
  type Plan,
  type SetName,
  type TableName,
  type TableSnapshot,
} from '../kernel/index.ts';
import { type CommandRunner, WeirError } from '../runtime/index.ts';
import { findRefused, type RefusedElement, type SetTypes } from './find-refused.ts';
import { type Landmarks, noLandmarks } from './landmarks.ts';
import type { RestoreContext } from './patient-run.ts';
import { readAvailable } from './read-available.ts';
import { type ReadOptions, readChain, readFilter, readKernel } from './read-kernel.ts';
import type { RestorePiece } from './restore-piece.ts';
import { restorePieces, rulesPiece } from './restore-pieces.ts';
import { emptyTransaction } from './restore-section.ts';
import type { RestoreReport } from './run-restore.ts';
import { runRestore } from './run-restore.ts';

/** What a write cost. */
export interface ApplyReport {
  readonly durationMs: number;
  /** Characters on standard input of all restores; everything is ASCII. */
  readonly bytes: number;
  /** Processes started; more than `pieces` when something had to be tried again. */
  readonly spawns: number;
  readonly pieces: number;
  /** Sets that should go and stay, because something else looks into them. */
  readonly heldSets: readonly SetName[];
}

export interface QueueOptions {
  /** Higher goes first among those that wait; 0 unless told. */
  readonly priority?: number;
  /** Ends waiting, and a write between two pieces. What is written by then stays. */
  readonly signal?: AbortSignal;
}

export interface ReadQueueOptions extends QueueOptions {
  /** Chains of a table that were there a moment ago. */
  readonly known?: ReadOptions['known'];
  /** Find out which tables can be written at all. */
  readonly available?: boolean;
}

export interface KernelWriterOptions extends RestoreContext {
  /** Runs the programs that look at a small part of the kernel, which are started all the time; `commands` unless told. */
  readonly lookCommands?: CommandRunner;
  /** Where to look for Weir's rules in a table that cannot be printed whole. */
  readonly landmarks?: Landmarks;
  /** Why the node has no such family now; `undefined` while it has. */
  readonly whyOff?: () => Promise<string | undefined>;
  /** Told everything that `read` has read. */
  readonly onRead?: (snapshot: KernelSnapshot) => void;
}

/**
 * The only writer to one family's rules and sets. Writes and reads wait for each other, so that a read never sees a
 * write that is half done. No queue timeout: it would free the slot while the command still runs.
 */
export class KernelWriter {
  readonly #context: RestoreContext;
  readonly #lookCommands: CommandRunner;
  readonly #landmarks: Landmarks;
  readonly #whyOff: KernelWriterOptions['whyOff'];
  readonly #onRead: (snapshot: KernelSnapshot) => void;
  readonly #queue = new PQueue({ concurrency: 1 });
  #writeSteps = 0;

  constructor({ lookCommands, landmarks = noLandmarks, whyOff, onRead, ...context }: KernelWriterOptions) {
    this.#context = context;
    this.#whyOff = whyOff;
    this.#onRead = onRead ?? (() => undefined);
    this.#landmarks = landmarks;
    this.#lookCommands = lookCommands ?? context.commands;
  }

  /**
   * Executes a plan. After an error the kernel holds any part of it: read it back and plan again. Throws a WeirError
   * (WEIR_RESTORE_FAILED, WEIR_IPSET_FAILED, WEIR_LOCK_HELD, WEIR_NOT_PRIVILEGED, WEIR_NO_IPTABLES, WEIR_NO_IPSET) or the signal's reason.
   */
  apply(plan: Plan, options: QueueOptions = {}): Promise<ApplyReport> {
    const { family } = this.#context.tools;
    if (plan.family !== family)
      throw new WeirError('WEIR_BUG', `a plan for ${plan.family} came to the writer of ${family}`);
    return this.#inTurn(options, () => this.#writing(() => applyPlan(plan, this.#context, options.signal)));
  }

  /** Beginnings and ends of writes until now: what was seen elsewhere meanwhile says nothing. */
  get writeSteps(): number {
    return this.#writeSteps;
  }

  /**
   * After `apply` failed with `error`: the members and rules of the plan that the kernel refuses for what they say, whatever else there
   * is. They are tried where no packet comes by; nothing that is in force changes. Empty when it was not about them. `typeOf`: of
   * which type a set of the plan is. Throws the signal's reason.
   */
  findRefused(
    plan: Plan,
    error: unknown,
    typeOf: SetTypes,
    options: QueueOptions = {},
  ): Promise<readonly RefusedElement[]> {
    return this.#inTurn(options, () =>
      this.#writing(() => findRefused(plan, error, typeOf, this.#context, options.signal)),
    );
  }

  /**
   * Reads these tables and all sets; throws a WeirError (WEIR_SAVE_FAILED, WEIR_NOT_PRIVILEGED …) or the signal's reason. With `available`,
   * tables that kernel or programs lack are named, see readAvailable.
   */
  read(tables: readonly TableName[], options: ReadQueueOptions = {}): Promise<KernelSnapshot> {
    const { tools } = this.#context;
    // The sets alone are read on a node where nothing else happens.
    const commands = tables.length === 0 ? this.#lookCommands : this.#context.commands;
    return this.#inTurn(options, async () => {
      const reading = this.#reading(options);
      const snapshot =
        options.available === true
          ? await readAvailable(commands, tools, tables, {
              ...reading,
              whyOff: this.#whyOff,
              writing: (write) => this.#writing(write),
            })
          : await readKernel(commands, tools, tables, reading);
      this.#onRead(snapshot);
      return snapshot;
    });
  }

  /** Reads the filter table, without sets; `undefined` where the kernel has none. Throws as `read`. */
  readFilter(options: ReadQueueOptions = {}): Promise<TableSnapshot | undefined> {
    const { tools } = this.#context;
    return this.#inTurn(options, () => readFilter(this.#lookCommands, tools, this.#reading(options)));
  }

  /** Rule bodies of one chain; of one that cannot be printed, only Weir's jumps. Throws as `read`. */
  readChain(table: TableName, chain: string, options: QueueOptions = {}): Promise<readonly string[]> {
    const { tools } = this.#context;
    return this.#inTurn(options, () =>
      readChain(this.#lookCommands, tools, table, chain, this.#reading(options)),
    );
  }

  /**
   * Moves Weir's jumps that must be first to the top of built-in chains that cannot be printed, where nobody can tell their place. Throws
   * as `apply`.
   */
  async moveToFront({ tables }: KernelSnapshot, options: QueueOptions = {}): Promise<void> {
    const jumps = jumpsOfUnknownPlace(tables, this.#landmarks.jumps);
    if (jumps.length === 0) return;
    const piece = rulesPiece('jumps to the front', { ...emptyTransaction, jumps });
    await this.#inTurn(options, () => this.#writing(() => runRestore(piece, this.#context, options.signal)));
  }

  /** Resolves when nothing waits or runs. */
  idle(): Promise<void> {
    return this.#queue.onIdle();
  }

  #reading({ signal, known }: ReadQueueOptions): ReadOptions {
    return { signal, known, landmarks: this.#landmarks };
  }

  async #writing<T>(write: () => Promise<T>): Promise<T> {
    this.#writeSteps += 1;
    try {
      return await write();
    } finally {
      this.#writeSteps += 1;
    }
  }

  #inTurn<T>(options: QueueOptions, task: () => Promise<T>): Promise<T> {
    return this.#queue.add(
      () => {
        options.signal?.throwIfAborted();
        return task();
      },
      { priority: options.priority ?? 0 },
    );
  }
}

async function applyPlan(
  plan: Plan,
  context: RestoreContext,
  signal: AbortSignal | undefined,
): Promise<ApplyReport> {
  const startedAt = context.clock.now();
  const pieces = restorePieces(plan, context.tools.backend);
  const reports: RestoreReport[] = [];
  for (const piece of pieces) {
    signal?.throwIfAborted();
    reports.push(await runRestore(piece, context, signal));
  }
  return {
    durationMs: context.clock.now() - startedAt,
    bytes: countBytes(pieces),
    spawns: reports.reduce((sum, { spawns }) => sum + spawns, 0),
    pieces: pieces.length,
    heldSets: reports.flatMap(({ heldSets }) => heldSets),
  };
}

function countBytes(pieces: readonly RestorePiece[]): number {
  let bytes = 0;
  for (const piece of pieces) for (const text of piece.input) bytes += text.length;
  return bytes;
}
