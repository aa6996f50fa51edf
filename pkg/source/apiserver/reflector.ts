import { Backoff, type Clock } from '../../runtime/index.ts';
import type { SourceHandler } from '../source.ts';
import type { ApiClient, ApiStream } from './api-client.ts';
import { type Failure, failureOf } from './failure.ts';
import type { FailureLog } from './failure-log.ts';
import { KnownObjects } from './known-objects.ts';
import { listPages } from './list-pager.ts';
import type { ReflectorObserver } from './reflector-observer.ts';
import { type Resource, requestPath } from './resources.ts';
import type { SharedValues } from './shared-values.ts';
import { triggerTimeOf } from './trigger-time.ts';
import { WatchDeadline } from './watch-deadline.ts';
import { type WatchEvent, watchEvents } from './watch-stream.ts';
import { identityOf } from './wire-object.ts';

export interface ReflectorOptions {
  readonly client: ApiClient;
  readonly resource: Resource;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Milliseconds since 1970. */
  readonly epochMs: () => number;
  readonly handler: Omit<SourceHandler, 'synced'>;
  /** The first complete state has been told. Called once. */
  readonly onSynced: () => void;
  readonly observer: ReflectorObserver;
  readonly log: FailureLog;
  readonly shared: SharedValues;
}

/** The server ends a watch after a time between these, so that the nodes of a cluster do not come back together. */
const shortestWatchSeconds = 300;
const longestWatchSeconds = 600;
/** A server that does not end the watch by itself is given this much more. */
const overdueMs = 7500;
/** Bookmarks come about once a minute, also when nothing happens. */
const idleMs = 165_000;
/** A watch that ends this soon, and in silence, is a failure: else one would follow the other without a pause. */
const shortMs = 1000;
/** Without a failure for this long, the next one counts as the first. */
const healthyMs = 120_000;
/** A watch that was open for so long had begun where it should. */
const lastedMs = 10_000;
/** As client-go: 0.8 s, doubled up to 30 s; with a jitter of 1.0, but never longer than 30 s. */
const backoffOptions = { initialMs: 1600, maxMs: 30_000, jitter: 0.5 } as const;
const doubtsBeforeRelist = 3;
/** How often to look whether an optional resource has come. */
const absentRetryMs = 600_000;

/** How a watch was over without an error. */
type WatchEnd = 'ended' | 'overdue' | 'idle' | 'unmarked';

/**
 * Keeps the handler's view of one resource equal to the API server's: a complete state first, then its changes, for as
 * long as it runs. Whatever fails, the last good state stays, and only a complete new state takes objects away.
 */
export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #known: KnownObjects;
  readonly #backoff: Backoff;
  readonly #startedAt: number;
  /** Where the watch goes on; undefined when a complete state is needed first. */
  #resourceVersion: string | undefined;
  /** The server does not begin a watch with what is there: list, then watch. */
  #mustList = false;
  #synced = false;
  #watchReason = 'first';
  /** Of the current round: whether the server has let the watch begin, when, and what came. */
  #openedAt: number | undefined;
  #events = 0;
  #doubts = 0;
  /** The resourceVersion was too old, and no watch has done its work since. */
  #expired = false;
  /** The last answer was that this kind may not be read. */
  #refused = false;
  /** When the wait after the last failure was over. */
  #retriedAt = 0;

  constructor(options: ReflectorOptions) {
    const { resource, handler, random, epochMs } = options;
    this.#options = options;
    this.#known = new KnownObjects(resource.kind, handler, options.shared);
    this.#backoff = new Backoff({ ...backoffOptions, random });
    this.#startedAt = epochMs();
  }

  /** How many objects the API server has, as far as is known. */
  get size(): number {
    return this.#known.size;
  }

  /** Runs until the signal aborts; does not reject. Nothing is told after that. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const delayMs = await this.#round(signal);
      if (delayMs > 0) await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }

  /** One watch, with a list before it where that is needed. Gives the milliseconds until the next. */
  async #round(signal: AbortSignal): Promise<number> {
    this.#openedAt = undefined;
    this.#events = 0;
    try {
      if (this.#resourceVersion === undefined && this.#mustList) await this.#list(signal);
      return this.#ended(await this.#watch(signal));
    } catch (error) {
      return signal.aborted ? 0 : this.#failed(failureOf(error));
    } finally {
      this.#known.abandonList();
      if (!signal.aborted) this.#settle();
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, resource, clock } = this.#options;
    const begun = clock.now();
    let resourceVersion: string | undefined;
    for await (const page of listPages(client, resource, signal)) {
      if (signal.aborted) return;
      if (page.first) this.#known.beginList();
      for (const item of page.items)
        this.#known.upsert(identityOf(item, `the list of ${resource.plural}`), item);
      ({ resourceVersion } = page);
    }
    if (resourceVersion !== undefined && !signal.aborted) this.#complete(resourceVersion, begun);
  }

  async #watch(signal: AbortSignal): Promise<WatchEnd> {
    const { client, resource, clock, random } = this.#options;
    const spread = longestWatchSeconds - shortestWatchSeconds + 1;
    const timeoutSeconds = shortestWatchSeconds + Math.floor(random() * spread);
    const deadline = new WatchDeadline(clock, signal, { totalMs: timeoutSeconds * 1000 + overdueMs, idleMs });
    try {
      const path = requestPath(resource, watchQuery(this.#resourceVersion, timeoutSeconds));
      const begun = clock.now();
      const request = { verb: 'WATCH', path, idleTimeoutMs: idleMs + overdueMs } as const;
      const stream = await client.open(request, deadline.signal);
      return await this.#follow(stream, deadline, begun, signal);
    } catch (error) {
      if (deadline.passed === undefined || signal.aborted) throw error;
      return deadline.passed;
    } finally {
      await deadline.close();
    }
  }

  async #follow(
    stream: ApiStream,
    deadline: WatchDeadline,
    begun: number,
    signal: AbortSignal,
  ): Promise<WatchEnd> {
    const { resource, clock, observer, epochMs } = this.#options;
    this.#openedAt = clock.now();
    this.#refused = false;
    observer.watchStarted(resource.kind, this.#watchReason);
    if (this.#resourceVersion === undefined) this.#known.beginList();
    for await (const batch of watchEvents(stream.chunks, resource.plural)) {
      deadline.heard();
      // Nothing of a run that was stopped lands.
      if (signal.aborted) break;
      if (batch.length > 0) observer.heard(resource.kind, epochMs());
      for (const event of batch) {
        if (!this.#take(event, begun)) return 'unmarked';
      }
      // Before the complete state is there, half of it is no news.
      if (this.#resourceVersion !== undefined) this.#settle();
    }
    return this.#resourceVersion === undefined ? 'unmarked' : 'ended';
  }

  /** False when the watch began with what is there, and does not say where that ends. */
  #take(event: WatchEvent, begun: number): boolean {
    this.#events += 1;
    if (event.type === 'BOOKMARK') {
      if (this.#resourceVersion !== undefined) this.#progress(event.resourceVersion);
      else if (event.endsInitialEvents) this.#complete(event.resourceVersion, begun);
      else return false;
      return true;
    }
    const { type, identity, object } = event;
    const isChange = this.#resourceVersion !== undefined;
    if (isChange) this.#options.observer.event(this.#options.resource.kind, type);
    if (type === 'DELETED') this.#known.remove(identity);
    else this.#known.upsert(identity, object, isChange ? this.#triggeredAt(object) : undefined);
    if (isChange) this.#progress(identity.resourceVersion);
    return true;
  }

  #progress(resourceVersion: string): void {
    this.#resourceVersion = resourceVersion;
    this.#doubts = 0;
    this.#expired = false;
    this.#options.log.healed(this.#options.resource);
  }

  /** What lay in the slice before Weir started says nothing about how fast Weir is. */
  #triggeredAt(object: unknown): number | undefined {
    if (this.#options.resource.kind !== 'EndpointSlice') return undefined;
    const time = triggerTimeOf(object);
    return time !== undefined && time >= this.#startedAt ? time : undefined;
  }

  #complete(resourceVersion: string, begun: number): void {
    const { resource, clock, observer, log } = this.#options;
    this.#known.endList();
    this.#resourceVersion = resourceVersion;
    this.#doubts = 0;
    log.healed(resource);
    observer.listed(resource.kind, clock.now() - begun, this.#known.size);
    this.#settle();
    this.#becomeSynced();
  }

  #becomeSynced(): void {
    if (this.#synced) return;
    this.#synced = true;
    this.#options.onSynced();
  }

  #settle(): void {
    if (this.#known.takeChanged()) this.#options.handler.settled();
  }

  /** The milliseconds until the next round after a watch that ended without an error. */
  #ended(end: WatchEnd): number {
    if (this.#synced) this.#watchReason = end;
    // What does not come as a stream may come as pages.
    if (this.#resourceVersion === undefined) this.#mustList = true;
    switch (end) {
      case 'overdue':
      case 'unmarked':
        return 0;
      case 'idle':
        return this.#failed(silence('idle', 'the watch is silent; the connection is taken as dead'));
      case 'ended':
        if (this.#events === 0 && this.#openFor() < shortMs)
          return this.#failed(silence('short', 'the watch ended as soon as it began'));
        this.#options.log.healed(this.#options.resource);
        return 0;
    }
  }

  /** The same after a failure. */
  #failed(failure: Failure): number {
    const { resource, observer, random } = this.#options;
    const { reason, retryAfterMs } = failure;
    if (reason === 'invalid' && this.#resourceVersion === undefined && !this.#mustList) {
      // A server without streaming lists; should it be something else, the list will say so.
      this.#mustList = true;
      return 0;
    }
    observer.failed(resource.kind, reason);
    if (this.#synced) this.#watchReason = reason;
    if (resource.optional && (reason === 'forbidden' || reason === 'not_found')) {
      // What was known is not taken away: that the server says no does not mean that there is nothing.
      this.#becomeSynced();
      return absentRetryMs * (1 + random());
    }
    if (this.#mustRelist(failure)) this.#resourceVersion = undefined;
    if (this.#openFor() >= lastedMs) this.#expired = false;
    const isFirstExpiry = reason === 'expired' && !this.#expired;
    this.#expired ||= reason === 'expired';
    if (isFirstExpiry) return 0;
    const delayMs = Math.max(this.#nextDelay(), retryAfterMs);
    this.#retriedAt = this.#options.clock.now() + delayMs;
    this.#report(failure, delayMs);
    return delayMs;
  }

  #nextDelay(): number {
    if (this.#options.clock.now() - this.#retriedAt >= healthyMs) this.#backoff.reset();
    return this.#backoff.next();
  }

  /**
   * A watch breaks now and then; that is worth a warning when the next does not begin. An API server that has just started
   * refuses everybody until it has read the roles, so once is no more than a break either.
   */
  #report(failure: Failure, retryInMs: number): void {
    const { resource, log } = this.#options;
    const isFirstRefusal = failure.reason === 'forbidden' && !this.#refused;
    this.#refused = failure.reason === 'forbidden';
    const verb = this.#mustList && this.#resourceVersion === undefined ? 'list' : 'watch';
    const isBreak = this.#openedAt !== undefined || isFirstRefusal;
    if (isBreak && this.#synced && failure.recovery === 'resume') log.broke(resource, failure, retryInMs);
    else log.failed(resource, failure, { verb, isMissing: !this.#synced, retryInMs });
  }

  #mustRelist({ recovery }: Failure): boolean {
    if (recovery === 'resume') return false;
    if (recovery === 'relist') return true;
    this.#doubts += 1;
    if (this.#doubts < doubtsBeforeRelist) return false;
    this.#doubts = 0;
    return true;
  }

  #openFor(): number {
    return this.#openedAt === undefined ? 0 : this.#options.clock.now() - this.#openedAt;
  }
}

function watchQuery(
  resourceVersion: string | undefined,
  timeoutSeconds: number,
): Readonly<Record<string, string>> {
  const common = { watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds: String(timeoutSeconds) };
  if (resourceVersion !== undefined) return { ...common, resourceVersion };
  // Without a resourceVersion the state is the newest there is, as that of a list.
  return { ...common, sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };
}

function silence(reason: 'idle' | 'short', message: string): Failure {
  return { reason, recovery: 'resume', retryAfterMs: 0, message };
}
