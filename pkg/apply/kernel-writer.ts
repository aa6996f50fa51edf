import PQueue from 'p-queue';
import type { KernelSnapshot, Plan, SetName, TableName, TableSnapshot } from '../kernel/index.ts';
import { type CommandRunner, WeirError } from '../runtime/index.ts';
import { findRefused, type RefusedElement, type SetTypes } from './find-refused.ts';
import type { RestoreContext } from './patient-run.ts';
import { readChain, readFilter, readKernel } from './read-kernel.ts';
import type { RestorePiece } from './restore-piece.ts';
import { restorePieces } from './restore-pieces.ts';
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

export interface KernelWriterOptions extends RestoreContext {
  /** Runs the programs that look at a small part of the kernel, which are started all the time; `commands` unless told. */
  readonly lookCommands?: CommandRunner;
}

/**
 * The only writer to one family's rules and sets. Writes and reads wait for each other, so that a read never sees a
 * write that is half done. No queue timeout: it would free the slot while the command still runs.
 */
export class KernelWriter {
  readonly #context: RestoreContext;
  readonly #lookCommands: CommandRunner;
  readonly #queue = new PQueue({ concurrency: 1 });

  constructor({ lookCommands, ...context }: KernelWriterOptions) {
    this.#context = context;
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
    return this.#inTurn(options, () => applyPlan(plan, this.#context, options.signal));
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
    return this.#inTurn(options, () => findRefused(plan, error, typeOf, this.#context, options.signal));
  }

  /** Reads these tables and all sets; throws a WeirError (WEIR_SAVE_FAILED, WEIR_NOT_PRIVILEGED …) or the signal's reason. */
  read(tables: readonly TableName[], options: QueueOptions = {}): Promise<KernelSnapshot> {
    const { commands, tools } = this.#context;
    return this.#inTurn(options, () => readKernel(commands, tools, tables, options.signal));
  }

  /** Reads the filter table, without sets; `undefined` where the kernel has none. Throws as `read`. */
  readFilter(options: QueueOptions = {}): Promise<TableSnapshot | undefined> {
    const { tools } = this.#context;
    return this.#inTurn(options, () => readFilter(this.#lookCommands, tools, options.signal));
  }

  /** Rule bodies of one chain. Throws as `read`. */
  readChain(table: TableName, chain: string, options: QueueOptions = {}): Promise<readonly string[]> {
    const { tools } = this.#context;
    return this.#inTurn(options, () => readChain(this.#lookCommands, tools, table, chain, options.signal));
  }

  /** Resolves when nothing waits or runs. */
  idle(): Promise<void> {
    return this.#queue.onIdle();
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
