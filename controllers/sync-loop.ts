import type { Store } from '../pkg/cache/index.ts';
import type { Logger } from '../pkg/log/index.ts';
import { BoundedFrequencyRunner, type Clock, isWeirError, type RunReason } from '../pkg/runtime/index.ts';
import type { FamilySync, FamilyWrite } from './family-sync.ts';
import type { PolicyController } from './policy-controller.ts';
import type { ServiceController } from './service-controller.ts';

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
  /** After every sync that ended well; how long reading the kernel took, if it was read. */
  readonly onSynced: (readMs: number | undefined) => Promise<void>;
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
    const { clock, store, services, policies, families, mayWrite, onOtherProxy, onSynced, log } =
      this.#options;
    const start = clock.now();
    const wasLeftRight = this.#leftRight;
    this.#leftRight = false;
    this.#failures = [];
    // The kernel first: how the dispatch is cut depends on how it is cut already.
    const reads = await Promise.allSettled(families.map((family) => family.refresh(signal)));
    const dirty = store.takeDirty();
    const touched = services.update(dirty) + policies.update(dirty, services.podCIDRs);
    const readFailures = failuresOf(families, reads);
    const otherProxy = readFailures.find(
      ({ error }) => isWeirError(error) && error.code === 'WEIR_OTHER_PROXY',
    )?.error;
    if (otherProxy instanceof Error) onOtherProxy(otherProxy.message);
    if (!mayWrite()) return;
    const readable = families.filter((_, index) => reads[index]?.status === 'fulfilled');
    const writes = await Promise.allSettled(readable.map((family) => family.write(signal)));
    const readTimes = valuesOf(reads).filter((time) => time !== undefined);
    const isRepair = wasLeftRight && touched === 0 && readTimes.length > 0;
    for (const write of valuesOf(writes)) {
      if (write !== undefined) logWrite(log, write, { isRepair, touched, totalMs: clock.now() - start });
    }
    // One family's failure never holds the other back.
    this.#failures = [...readFailures, ...failuresOf(readable, writes)];
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
  readonly family: string;
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

interface WriteCircumstances {
  /** Nothing had changed but the kernel itself. */
  readonly isRepair: boolean;
  readonly touched: number;
  readonly totalMs: number;
}

function logWrite(
  log: Logger,
  { plan }: FamilyWrite,
  { isRepair, touched, totalMs }: WriteCircumstances,
): void {
  const count = (changes: readonly { readonly members: readonly string[] }[]): number =>
    changes.reduce((sum, change) => sum + change.members.length, 0);
  for (const { reason, table, builtin, kind } of plan.jumps) {
    if (kind === 'insert' && reason !== 'missing')
      log.warn(`${plan.family} jump repaired in ${table} ${builtin}: it was ${reason}`);
  }
  if (isRepair) log.warn(`${plan.family} rules were changed by somebody else: repaired`);
  log.info(`${plan.family} rules written`, {
    services: touched,
    chains: plan.writeChains.length,
    chainsDeleted: plan.deleteChains.length,
    members: count(plan.addMembers),
    membersRemoved: count(plan.removeMembers),
    milliseconds: Math.round(totalMs * 10) / 10,
  });
}
