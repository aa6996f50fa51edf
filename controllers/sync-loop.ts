import type { Store } from '../pkg/cache/index.ts';
import type { Logger } from '../pkg/log/index.ts';
import { BoundedFrequencyRunner, type Clock, isWeirError, type RunReason } from '../pkg/runtime/index.ts';
import type { FamilySync, FamilyWrite } from './family-sync.ts';
import type { ServiceController } from './service-controller.ts';

export interface SyncLoopOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  readonly services: ServiceController;
  readonly families: readonly FamilySync[];
  /** Configured minimum between two syncs; without it the loop adapts to how long they take. */
  readonly minSyncPeriodMs: number | undefined;
  /** Another proxy writes: keep what the store says, touch nothing. */
  readonly mayWrite: () => boolean;
  readonly onOtherProxy: (message: string) => void;
  /** After every sync that ended well; how long reading the kernel took, if it was read. */
  readonly onSynced: (readMs: number | undefined) => Promise<void>;
}

/** A sync that nobody asked for: from the store alone, which costs next to nothing. */
const maxIntervalMs = 3_600_000;

/** Turns changes in the store into changes in the kernel: at once when idle, one sync at a time, again after a failure. */
export class SyncLoop {
  readonly #options: SyncLoopOptions;
  readonly #runner: BoundedFrequencyRunner;

  constructor(options: SyncLoopOptions) {
    this.#options = options;
    this.#runner = new BoundedFrequencyRunner({
      work: (reason, signal) => this.#sync(reason, signal),
      clock: options.clock,
      ...(options.minSyncPeriodMs === undefined ? {} : { minIntervalMs: options.minSyncPeriodMs }),
      maxIntervalMs,
      retry: { initialMs: 500, maxMs: 30_000 },
      onError: (error, retryInMs) => {
        options.log.error(`rules not written, next try in ${Math.round(retryInMs)} ms`, { error });
      },
    });
  }

  /** The store changed. */
  run(): void {
    this.#runner.run();
  }

  /** The kernel may not be as it was left: read it, compare, repair. */
  recheck(reason: string): void {
    this.#options.log.debug(`reading the kernel: ${reason}`);
    for (const family of this.#options.families) family.invalidate();
    this.run();
  }

  /** Runs until `stop`. */
  start(): Promise<void> {
    this.run();
    return this.#runner.start();
  }

  /** A sync in flight may finish within the deadline; after that it is abandoned. Whether it finished. */
  stop(deadlineMs: number): Promise<boolean> {
    return this.#runner.stop(deadlineMs);
  }

  async #sync(reason: RunReason, signal: AbortSignal): Promise<void> {
    const { clock, store, services, families, mayWrite, onOtherProxy, onSynced, log } = this.#options;
    const start = clock.now();
    // The kernel first: how the dispatch is cut depends on how it is cut already.
    const reads = await Promise.allSettled(families.map((family) => family.refresh(signal)));
    const touched = services.update(store.takeDirty());
    const otherProxy = failuresOf(reads).find(
      (error) => isWeirError(error) && error.code === 'WEIR_OTHER_PROXY',
    );
    if (otherProxy instanceof Error) onOtherProxy(otherProxy.message);
    if (!mayWrite()) return;
    const readable = families.filter((_, index) => reads[index]?.status === 'fulfilled');
    const writes = await Promise.allSettled(readable.map((family) => family.write(signal)));
    for (const write of valuesOf(writes)) {
      if (write !== undefined) logWrite(log, write, touched, clock.now() - start);
    }
    // One family's failure never holds the other back.
    for (const failure of [...failuresOf(reads), ...failuresOf(writes)]) throw failure;
    const readTimes = valuesOf(reads).filter((time) => time !== undefined);
    await onSynced(readTimes.length === 0 ? undefined : Math.max(...readTimes));
    log.debug(`synced (${reason})`, { services: touched, milliseconds: Math.round(clock.now() - start) });
  }
}

function failuresOf(results: readonly PromiseSettledResult<unknown>[]): readonly unknown[] {
  return results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
}

function valuesOf<Value>(results: readonly PromiseSettledResult<Value>[]): readonly Value[] {
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

function logWrite(log: Logger, { plan }: FamilyWrite, services: number, totalMs: number): void {
  const count = (changes: readonly { readonly members: readonly string[] }[]): number =>
    changes.reduce((sum, change) => sum + change.members.length, 0);
  for (const { reason, table, builtin, kind } of plan.jumps) {
    if (kind === 'insert' && reason !== 'missing')
      log.warn(`jump repaired in ${table} ${builtin}: it was ${reason}`);
  }
  log.info(`${plan.family} rules written`, {
    services,
    chains: plan.writeChains.length,
    chainsDeleted: plan.deleteChains.length,
    members: count(plan.addMembers),
    membersRemoved: count(plan.removeMembers),
    milliseconds: Math.round(totalMs * 10) / 10,
  });
}
