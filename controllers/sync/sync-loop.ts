import type { Dirty, Store } from '../../pkg/cache/index.ts';
import type { Plan } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { BoundedFrequencyRunner, type Clock, type RunReason } from '../../pkg/runtime/index.ts';
import type { PolicyController } from '../policies/policy-controller.ts';
import type { ServiceController } from '../services/service-controller.ts';
import type { FamilySync, PartRead, PartWrite } from './family-sync.ts';
import type { LeftOut } from './left-out.ts';
import { logWrite, nameOfParts, type TouchedObjects } from './log-write.ts';
import type { OtherProxyGate } from './other-proxy-gate.ts';
import { type Part, parts } from './part-ownership.ts';
import type { PartSync } from './part-sync.ts';
import type { Resync } from './resync-timer.ts';

export interface SyncLoopOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  readonly services: ServiceController;
  readonly policies: PolicyController;
  readonly families: readonly FamilySync[];
  /** Configured minimum between two syncs; without it the loop adapts to how long they take. */
  readonly minSyncPeriodMs: number | undefined;
  /** Another proxy writes Service rules: their part keeps what the store says, and touches nothing. */
  readonly otherProxy: Pick<OtherProxyGate, 'mayWrite' | 'takesOver' | 'cameBack'>;
  readonly observer: SyncObserver;
  /** Does without what the kernel refuses. */
  readonly leftOut: Pick<LeftOut, 'refused' | 'retryWhenDue'>;
  /** After every sync, before its failures are reported. */
  readonly onSynced: (result: SyncResult) => Promise<void>;
}

/** What one sync did to one part of one family. */
export interface PartSynced {
  readonly family: Family;
  readonly part: Part;
  /** What was written; `undefined` when the kernel was as it should be. */
  readonly plan: Plan | undefined;
  /** Since the sync began. */
  readonly durationMs: number;
  /** The kernel was read and compared; else only what had changed was looked at. */
  readonly wasRead: boolean;
  /** Nothing had changed but the kernel itself. */
  readonly isRepair: boolean;
  /** The kernel has none of its tables: nothing was written. */
  readonly isAbsent: boolean;
}

/** Parts of one family that could not be read, or written. Those that failed in one write fail together. */
export interface PartsFailed {
  readonly family: Family;
  readonly parts: readonly Part[];
  readonly error: unknown;
  readonly wasRead: boolean;
}

export interface SyncResult {
  /** Parts that are in the kernel as the store says, in all families. */
  readonly inForce: ReadonlySet<Part>;
  /** Parts that were read in this sync. */
  readonly read: ReadonlySet<Part>;
  /** What of all that Weir writes was read, and how long reading took, in milliseconds. */
  readonly resync: { readonly what: Resync; readonly readMs: number } | undefined;
}

/** Looks on; what it does must neither throw nor wait. */
export interface SyncObserver {
  /** A sync is wanted. */
  queued(): void;
  /** A sync begins, and takes in these changes. */
  began(dirty: Dirty): void;
  /** This part of this family is in the kernel as the store says. */
  synced(result: PartSynced): void;
  failed(failure: PartsFailed): void;
}

/** A sync that nobody asked for: from the store alone, which costs next to nothing. */
const maxIntervalMs = 3_600_000;

/** Turns changes in the store into changes in the kernel: at once when idle, one sync at a time, again after a failure. */
export class SyncLoop {
  readonly #options: SyncLoopOptions;
  readonly #runner: BoundedFrequencyRunner;
  /** Of the last sync. */
  #failures: readonly PartsFailed[] = [];
  /** Parts that the last sync left as they should be: what differs now is somebody else's doing. */
  #leftRight: ReadonlySet<PartSync> = new Set();

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

  /** The kernel may not be as these parts were left: read it, compare, repair. Defaults to all parts. */
  recheck(reason: string, suspects: readonly PartSync[] = this.#allParts()): void {
    this.#options.log.debug(`reading the kernel: ${reason}`);
    for (const part of suspects) part.invalidate();
    this.run();
  }

  /** The same for the sets of all parts, and for the tables that a family lacks: nothing says when they come. */
  recheckSets(): void {
    this.#options.log.debug('reading the sets');
    for (const part of this.#allParts()) {
      if (part.state.unavailable.size > 0) part.invalidate();
      else part.invalidateSets();
    }
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
    const { clock, log, store, services, policies, families, observer, leftOut, onSynced } = this.#options;
    const start = clock.now();
    const wereRight = leftOut.retryWhenDue() ? new Set() : this.#leftRight;
    this.#leftRight = new Set();
    this.#failures = [];
    // The kernel first: how the dispatch is cut depends on how it is cut already.
    const reads = await this.#read(signal);
    const dirty = store.takeDirty();
    observer.began(dirty);
    const touched: Readonly<Record<Part, TouchedObjects>> = {
      services: { services: services.update(dirty) },
      policies: policies.update(dirty, services.podCIDRs),
    };
    signal.throwIfAborted();
    this.#answerOtherProxy(reads);
    const wasRead = (part: PartSync): boolean => reads.has(part);
    // One family's or part's failure never holds another back.
    const writes = await Promise.all(
      families.map(async (family) => {
        const writable = this.#writable(family).filter((part) => reads.get(part)?.error === undefined);
        const results = await family.write(writable, signal);
        const totalMs = clock.now() - start;
        for (const write of results) {
          if (write.error !== undefined) continue;
          const { part } = write;
          const ofPart = touched[part.part];
          const isRepair = wereRight.has(part) && isUntouched(ofPart) && wasRead(part);
          if (write.plan !== undefined)
            logWrite(log, write.plan, {
              part: part.part,
              isRepair,
              touched: ofPart,
              totalMs,
              heldSets: write.heldSets,
            });
          observer.synced({
            family: family.family,
            part: part.part,
            plan: write.plan,
            durationMs: totalMs,
            wasRead: reads.get(part)?.what === 'everything',
            isRepair,
            isAbsent: part.isAbsent,
          });
        }
        return results;
      }),
    );
    const right = new Set(writes.flat().flatMap(({ part, error }) => (error === undefined ? [part] : [])));
    this.#leftRight = right;
    this.#failures = families.flatMap((family, index) =>
      failuresOf(family, [...reads.values()], writes[index] ?? []),
    );
    for (const failure of this.#failures) observer.failed(failure);
    this.#failures = this.#withoutRefusals(writes.flat());
    await onSynced(this.#result(right, reads));
    for (const { error } of this.#failures) throw error;
    log.debug(`synced (${reason})`, {
      ...touched.services,
      ...touched.policies,
      milliseconds: Math.round(clock.now() - start),
    });
  }

  /** The failures that another try would meet again: those that are about values which can be left out lead to another sync at once. */
  #withoutRefusals(writes: readonly PartWrite[]): readonly PartsFailed[] {
    const { leftOut } = this.#options;
    const cured = new Set<unknown>();
    for (const { part, error, refused = [] } of writes)
      if (refused.length > 0 && leftOut.refused(part, refused)) cured.add(error);
    if (cured.size > 0) this.run();
    return this.#failures.filter(({ error }) => !cured.has(error));
  }

  async #read(signal: AbortSignal): Promise<ReadonlyMap<PartSync, PartRead>> {
    const { families } = this.#options;
    const reads = await Promise.all(families.map((family) => family.refresh(this.#writable(family), signal)));
    return new Map(reads.flat().map((read) => [read.part, read]));
  }

  /** When another proxy writes again, all families' Service rules are its own for a while. */
  #answerOtherProxy(reads: ReadonlyMap<PartSync, PartRead>): void {
    const { families, otherProxy } = this.#options;
    for (const family of families) {
      const services = family.part('services');
      const isBack = services !== undefined && reads.get(services)?.otherProxyIsBack === true;
      if (isBack && otherProxy.cameBack(family.family) === 'take over') services.takeOver();
    }
    for (const part of this.#allParts()) {
      if (!otherProxy.mayWrite(part.part)) part.invalidate();
      else if (part.part === 'services' && otherProxy.takesOver) part.takeOver();
    }
  }

  #writable(family: FamilySync): readonly PartSync[] {
    return family.parts.filter(({ part }) => this.#options.otherProxy.mayWrite(part));
  }

  #allParts(): readonly PartSync[] {
    return this.#options.families.flatMap((family) => family.parts);
  }

  #result(right: ReadonlySet<PartSync>, reads: ReadonlyMap<PartSync, PartRead>): SyncResult {
    const { families } = this.#options;
    const all = families.flatMap((family) => this.#writable(family));
    const readMs = Math.max(0, ...[...reads.values()].map(({ readMs }) => readMs));
    const what = all.every((part) => reads.get(part)?.what === 'everything') ? 'everything' : 'sets';
    return {
      inForce: new Set(
        parts.filter((name) =>
          families.every(({ parts }) => parts.some((one) => one.part === name && right.has(one))),
        ),
      ),
      read: new Set([...reads.keys()].map(({ part }) => part)),
      resync: all.every((part) => reads.has(part)) ? { what, readMs } : undefined,
    };
  }

  #logFailures(error: unknown, retryInMs: number): void {
    const { log } = this.#options;
    const next = `next try in ${Math.round(retryInMs)} ms`;
    for (const failure of this.#failures) {
      const what = `${failure.family} ${nameOfParts(failure.parts)} rules`;
      log.error(`${what} not written, ${next}`, { error: failure.error });
    }
    if (this.#failures.length === 0) log.error(`sync failed, ${next}`, { error });
  }
}

function isUntouched(touched: TouchedObjects): boolean {
  return Object.values(touched).every((count) => count === 0);
}

/** One failure for each read or write that failed, however many parts were in it. */
function failuresOf(
  { family, parts }: FamilySync,
  reads: readonly PartRead[],
  writes: readonly PartWrite[],
): readonly PartsFailed[] {
  const failed = [
    ...reads.filter(({ part }) => parts.includes(part)).map((read) => ({ ...read, wasRead: true })),
    ...writes.map((write) => ({ ...write, wasRead: reads.some(({ part }) => part === write.part) })),
  ].filter(({ error }) => error !== undefined);
  return [...Map.groupBy(failed, ({ error }) => error)].map(([error, together]) => ({
    family,
    error,
    parts: together.map(({ part }) => part.part),
    wasRead: together.some(({ wasRead }) => wasRead),
  }));
}
