import type { Dirty, Store } from '../../pkg/cache/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { BoundedFrequencyRunner, type Clock, isWeirError, type RunReason } from '../../pkg/runtime/index.ts';
import type { PolicyController } from '../policies/policy-controller.ts';
import type { ServiceController } from '../services/service-controller.ts';
import type { FamilySync, FamilyWrite } from './family-sync.ts';
import { logWrite } from './log-write.ts';

export interface SyncLoopOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  readonly services: ServiceController;
  readonly policies: PolicyController;
  readonly families: readonly FamilySync[];
  /** Configured minimum between two syncs; without it the loop adapts to how long they take. */
  readonly minSyncPeriodMs: number | undefined;
  /** Another proxy writes: keep what the store says, touch nothing. */
  readonly mayWrite: () => boolean;
  readonly onOtherProxy: (message: string) => void;
  readonly observer: SyncObserver;
  /** After every sync that ended well; how long reading the kernel took, if it was read. */
  readonly onSynced: (readMs: number | undefined) => Promise<void>;
}

/** What one sync did to one family. */
export interface FamilySynced {
  readonly family: Family;
  /** `undefined` when the kernel was as it should be. */
  readonly write: FamilyWrite | undefined;
  /** Since the sync began. */
  readonly durationMs: number;
  /** The kernel was read and compared, not only told what changed. */
  readonly wasRead: boolean;
  /** Nothing had changed but the kernel itself. */
  readonly isRepair: boolean;
}

/** Looks on; what it does must neither throw nor wait. */
export interface SyncObserver {
  /** A sync is wanted. */
  queued(): void;
  /** A sync begins, and takes in these changes. */
  began(dirty: Dirty): void;
  /** This family is in the kernel as the store says. */
  synced(result: FamilySynced): void;
  failed(family: Family, result: { readonly error: unknown; readonly wasRead: boolean }): void;
}

/** A sync that nobody asked for: from the store alone, which costs next to nothing. */
const maxIntervalMs = 3_600_000;

/** Turns changes in the store into changes in the kernel: at once when idle, one sync at a time, again after a failure. */
export class SyncLoop {
  readonly #options: SyncLoopOptions;
  readonly #runner: BoundedFrequencyRunner;
  /** Of the last sync. */
  #failures: readonly FamilyFailure[] = [];
  /** The kernel was left as it should be: what differs now is somebody else's doing. */
  #leftRight = false;

  constructor(options: SyncLoopOptions) {
    this.#options = options;
    this.#runner = new BoundedFrequencyRunner({
      work: (reason, signal) => this.#sync(reason, signal),
      clock: options.clock,
      ...(options.minSyncPeriodMs === undefined ? {} : { minIntervalMs: options.minSyncPeriodMs }),
      maxIntervalMs,
      retry: { initialMs: 500, maxMs: 30_000 },
      onError: (error, retryInMs) => this.#logFailures(error, retryInMs),
    });
  }

  /** The store changed. */
  run(): void {
    this.#options.observer.queued();
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
    const { clock, store, services, policies, families, mayWrite, onOtherProxy, onSynced, observer, log } =
      this.#options;
    const start = clock.now();
    const wasLeftRight = this.#leftRight;
    this.#leftRight = false;
    this.#failures = [];
    // The kernel first: how the dispatch is cut depends on how it is cut already.
    const reads = await Promise.allSettled(families.map((family) => family.refresh(signal)));
    const dirty = store.takeDirty();
    observer.began(dirty);
    const touched = services.update(dirty) + policies.update(dirty, services.podCIDRs);
    const readFailures = failuresOf(families, reads);
    const otherProxy = readFailures.find(
      ({ error }) => isWeirError(error) && error.code === 'WEIR_OTHER_PROXY',
    )?.error;
    if (otherProxy instanceof Error) onOtherProxy(otherProxy.message);
    if (!mayWrite()) return;
    const readable = families.filter((_, index) => reads[index]?.status === 'fulfilled');
    const readTimes = valuesOf(reads).filter((time) => time !== undefined);
    const wasRead = readTimes.length > 0;
    const isRepair = wasLeftRight && touched === 0 && wasRead;
    // One family's failure never holds the other back.
    const writes = await Promise.allSettled(
      readable.map(async (family) => {
        const write = await family.write(signal);
        const durationMs = clock.now() - start;
        if (write !== undefined) logWrite(log, write, { isRepair, touched, totalMs: durationMs });
        observer.synced({ family: family.state.family, write, durationMs, wasRead, isRepair });
      }),
    );
    this.#failures = [...readFailures, ...failuresOf(readable, writes)];
    for (const { family, error } of this.#failures) observer.failed(family, { error, wasRead });
    for (const { error } of this.#failures) throw error;
    this.#leftRight = true;
    await onSynced(readTimes.length === 0 ? undefined : Math.max(...readTimes));
    log.debug(`synced (${reason})`, { services: touched, milliseconds: Math.round(clock.now() - start) });
  }

  #logFailures(error: unknown, retryInMs: number): void {
    const { log } = this.#options;
    const next = `next try in ${Math.round(retryInMs)} ms`;
    for (const { family, error } of this.#failures)
      log.error(`${family} rules not written, ${next}`, { error });
    if (this.#failures.length === 0) log.error(`sync failed, ${next}`, { error });
  }
}

interface FamilyFailure {
  readonly family: Family;
  readonly error: unknown;
}

function failuresOf(
  families: readonly FamilySync[],
  results: readonly PromiseSettledResult<unknown>[],
): readonly FamilyFailure[] {
  return families.flatMap((family, index) => {
    const result = results[index];
    return result?.status === 'rejected'
      ? [{ family: family.state.family, error: result.reason as unknown }]
      : [];
  });
}

function valuesOf<Value>(results: readonly PromiseSettledResult<Value>[]): readonly Value[] {
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}
