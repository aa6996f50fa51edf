import type { Clock } from '../../runtime/index.ts';
import type { SourceHandler } from '../source.ts';
import type { ApiClient, ApiStream } from './api-client.ts';
import { endFailure, type Failure, failureOf, isStreamRefusal, refusesFieldSelector } from './failure.ts';
import type { FailureLog } from './failure-log.ts';
import { selectsObject } from './field-selector.ts';
import { KnownObjects } from './known-objects.ts';
import { listPages } from './list-pager.ts';
import type { ReflectorObserver } from './reflector-observer.ts';
import { type Resource, requestPath, type Selection } from './resources.ts';
import { RetryState } from './retry-state.ts';
import type { SharedValues } from './shared-values.ts';
import type { StreamingLists } from './streaming-lists.ts';
import { triggerTimeOf } from './trigger-time.ts';
import { WatchDeadline, type WatchLimits } from './watch-deadline.ts';
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
  /** Shared by all kinds. */
  readonly streaming: StreamingLists;
}

/** The server ends a watch after a time between these, so that the nodes of a cluster do not come back together. */
const shortestWatchSeconds = 300;
const longestWatchSeconds = 600;
/** A server that does not end the watch by itself is given this much more. */
const overdueMs = 7500;
/** Bookmarks come about once a minute, also when nothing happens, where the server's store says how far it is. */
const idleMs = 165_000;
/**
 * Until a stream has brought the complete state. A server that has it sends it at once, and waits 3 s at most for its cache to
 * catch up; some send nothing at all (kubernetes/kubernetes#140890).
 */
const streamLimits: WatchLimits = { totalMs: 120_000, idleMs: 15_000 };
/** A watch that ends this soon, and in silence, is a failure: else one would follow the other without a pause. */
const shortMs = 1000;
/** How often to look whether an optional resource has come. */
const absentRetryMs = 600_000;

/** What a round begins with: a complete state, as a stream or in pages, or the changes since the last watch. */
type Way = 'stream' | 'pages' | 'resume';

/** How a watch was over without an error. */
type WatchEnd = 'ended' | 'overdue' | 'idle' | 'unmarked';

/** A watch that is being read. */
interface OpenWatch {
  readonly stream: ApiStream;
  readonly deadline: WatchDeadline;
  /** Once the state is complete. */
  readonly limits: WatchLimits;
  readonly begun: number;
}

/**
 * Keeps the handler's view of one resource equal to the API server's: a complete state first, then its changes, for as
 * long as it runs. Whatever fails, the last good state stays, and only a complete new state takes objects away.
 *
 * A complete state is asked for as a stream; whichever way that fails, the next try lists by pages, and when those fail, too,
 * it is a stream's turn again: whatever works first.
 */
export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #known: KnownObjects;
  readonly #retry: RetryState;
  readonly #startedAt: number;
  #selection: Selection;
  /** Where the watch goes on; undefined when a complete state is needed first. */
  #resourceVersion: string | undefined;
  #synced = false;
  #watchReason = 'first';
  /** Of the current round: what it is about, whether the server has let the watch begin, when, and what came. */
  #way: Way = 'stream';
  #openedAt: number | undefined;
  #events = 0;
  /** How the last try to get the complete state that is needed has failed. */
  #failedWay: 'stream' | 'pages' | undefined;
  /** The last answer was that this kind may not be read. */
  #refused = false;

  constructor(options: ReflectorOptions) {
    const { resource, handler, clock, random, epochMs } = options;
    this.#options = options;
    this.#known = new KnownObjects(resource.kind, handler, options.shared);
    this.#retry = new RetryState(clock, random);
    this.#startedAt = epochMs();
    this.#selection = { resource, withFieldSelector: true };
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
    this.#way = this.#nextWay();
    try {
      if (this.#way === 'pages') await this.#list(signal);
      return this.#ended(await this.#watch(signal));
    } catch (error) {
      return signal.aborted ? 0 : this.#failed(failureOf(error));
    } finally {
      this.#known.abandonList();
      if (!signal.aborted) this.#settle();
    }
  }

  #nextWay(): Way {
    if (this.#resourceVersion !== undefined) return this.#retry.takeListDue() ? 'pages' : 'resume';
    if (this.#failedWay !== undefined) return this.#failedWay === 'stream' ? 'pages' : 'stream';
    return this.#options.streaming.mayTry() ? 'stream' : 'pages';
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, resource, clock } = this.#options;
    const begun = clock.now();
    let resourceVersion: string | undefined;
    for await (const page of listPages(client, this.#selection, signal)) {
      if (signal.aborted) return;
      if (page.first) this.#known.beginList();
      for (const item of page.items) {
        const identity = identityOf(item, `the list of ${resource.plural}`);
        if (this.#selects(item)) this.#known.upsert(identity, item);
      }
      ({ resourceVersion } = page);
    }
    if (resourceVersion !== undefined && !signal.aborted) this.#complete(resourceVersion, begun);
  }

  async #watch(signal: AbortSignal): Promise<WatchEnd> {
    const { client, clock, random } = this.#options;
    const spread = longestWatchSeconds - shortestWatchSeconds + 1;
    const timeoutSeconds = shortestWatchSeconds + Math.floor(random() * spread);
    const limits = { totalMs: timeoutSeconds * 1000 + overdueMs, idleMs };
    const isStream = this.#way === 'stream';
    const deadline = new WatchDeadline(clock, signal, isStream ? streamLimits : limits);
    try {
      const query = watchQuery(isStream ? undefined : this.#resourceVersion, timeoutSeconds);
      const path = requestPath(this.#selection, query);
      const begun = clock.now();
      const request = { verb: 'WATCH', path, idleTimeoutMs: idleMs + overdueMs } as const;
      const stream = await client.open(request, deadline.signal);
      return await this.#follow({ stream, deadline, limits, begun }, signal);
    } catch (error) {
      if (deadline.passed === undefined || signal.aborted) throw error;
      return deadline.passed;
    } finally {
      await deadline.close();
    }
  }

  async #follow({ stream, deadline, limits, begun }: OpenWatch, signal: AbortSignal): Promise<WatchEnd> {
    const { resource, clock, observer, epochMs } = this.#options;
    this.#openedAt = clock.now();
    this.#refused = false;
    observer.watchStarted(resource.kind, this.#watchReason);
    observer.heard(resource.kind, epochMs());
    if (this.#way === 'stream') this.#known.beginList();
    for await (const batch of watchEvents(stream.chunks, resource.plural)) {
      deadline.heard();
      // Nothing of a run that was stopped lands.
      if (signal.aborted) break;
      if (batch.length > 0) observer.heard(resource.kind, epochMs());
      for (const event of batch) {
        if (!this.#take(event, begun)) return 'unmarked';
      }
      // Before the complete state is there, half of it is no news.
      if (this.#way === 'stream') continue;
      deadline.extend(limits);
      this.#settle();
    }
    return this.#way === 'stream' ? 'unmarked' : 'ended';
  }

  /** False when the watch began with what is there, and does not say where that ends. */
  #take(event: WatchEvent, begun: number): boolean {
    this.#events += 1;
    const isChange = this.#way !== 'stream';
    if (event.type === 'BOOKMARK') {
      if (isChange) this.#progress(event.resourceVersion);
      else if (event.endsInitialEvents) this.#streamed(event.resourceVersion, begun);
      else return false;
      return true;
    }
    const { type, identity, object } = event;
    if (isChange) this.#options.observer.event(this.#options.resource.kind, type);
    if (type === 'DELETED' || !this.#selects(object)) this.#known.remove(identity);
    else this.#known.upsert(identity, object, isChange ? this.#triggeredAt(object) : undefined);
    if (isChange) this.#progress(identity.resourceVersion);
    return true;
  }

  #selects(object: unknown): boolean {
    const { fieldSelector } = this.#options.resource;
    return fieldSelector === undefined || selectsObject(fieldSelector, object);
  }

  #progress(resourceVersion: string): void {
    this.#resourceVersion = resourceVersion;
    this.#retry.progressed();
    this.#options.log.healed(this.#options.resource);
  }

  /** What lay in the slice before Weir started says nothing about how fast Weir is. */
  #triggeredAt(object: unknown): number | undefined {
    if (this.#options.resource.kind !== 'EndpointSlice') return undefined;
    const time = triggerTimeOf(object);
    return time !== undefined && time >= this.#startedAt ? time : undefined;
  }

  #streamed(resourceVersion: string, begun: number): void {
    this.#options.streaming.worked();
    this.#complete(resourceVersion, begun);
  }

  #complete(resourceVersion: string, begun: number): void {
    const { resource, clock, observer, log } = this.#options;
    this.#known.endList();
    this.#resourceVersion = resourceVersion;
    this.#way = 'resume';
    this.#failedWay = undefined;
    this.#retry.completed();
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
    if (this.#way === 'stream') return this.#failed(incompleteStream(end));
    if (this.#synced) this.#watchReason = end;
    if (end === 'ended' && this.#events === 0 && this.#openFor() < shortMs)
      return this.#failed(endFailure('short', 'the watch ended as soon as it began'));
    this.#retry.watchEnded(end === 'idle' ? 'silent' : 'answered');
    if (end === 'ended') this.#options.log.healed(this.#options.resource);
    return 0;
  }

  /** The same after a failure. */
  #failed(failure: Failure): number {
    const { resource, observer, random } = this.#options;
    const { reason } = failure;
    if (this.#dropsSelector(failure)) return 0;
    observer.failed(resource.kind, reason);
    if (this.#synced) this.#watchReason = reason;
    if (this.#way !== 'resume' && this.#resourceVersion === undefined) this.#failedWay = this.#way;
    if (resource.optional && (reason === 'forbidden' || reason === 'not_found')) {
      if (this.#way === 'stream') return 0;
      // What was known is not taken away: that the server says no does not mean that there is nothing.
      this.#becomeSynced();
      return absentRetryMs * (1 + random());
    }
    if (this.#way === 'resume') {
      if (this.#retry.mustRelist(failure, this.#openFor())) this.#resourceVersion = undefined;
      if (this.#retry.isFirstExpiry(failure)) return 0;
      this.#retry.watchEnded(this.#wasAnswered(failure) ? 'answered' : 'silent');
    }
    const isRefusal = this.#way === 'stream' && isStreamRefusal(failure, this.#openedAt !== undefined);
    if (isRefusal) this.#fallBack(failure);
    if (isRefusal && reason !== 'throttled' && failure.retryAfterMs === 0) return 0;
    const delayMs = this.#retry.delayMs(failure);
    this.#report(failure, delayMs);
    return delayMs;
  }

  #wasAnswered({ reason }: Failure): boolean {
    return this.#openedAt !== undefined || (reason !== 'unreachable' && reason !== 'credentials');
  }

  #fallBack(failure: Failure): void {
    const { streaming, log, resource } = this.#options;
    if (streaming.failed()) log.listsByPages(failure);
    else log.broke(resource, failure, 0);
  }

  /** The server refuses the field selector: the same again without it, and for good. */
  #dropsSelector(failure: Failure): boolean {
    const { resource, withFieldSelector } = this.#selection;
    if (resource.fieldSelector === undefined || !withFieldSelector) return false;
    if (!refusesFieldSelector(failure)) return false;
    this.#selection = { resource, withFieldSelector: false };
    this.#options.log.selectsItself(resource, failure);
    return true;
  }

  /**
   * A watch breaks now and then; that is worth a warning when the next does not begin. An API server that has just started
   * refuses everybody until it has read the roles, so once is no more than a break either.
   */
  #report(failure: Failure, retryInMs: number): void {
    const { resource, log } = this.#options;
    const isFirstRefusal = failure.reason === 'forbidden' && !this.#refused;
    this.#refused = failure.reason === 'forbidden';
    const verb = this.#way === 'pages' ? 'list' : 'watch';
    const isBreak = this.#openedAt !== undefined || isFirstRefusal;
    if (isBreak && this.#synced && failure.recovery === 'resume') log.broke(resource, failure, retryInMs);
    else log.failed(resource, failure, { verb, isMissing: !this.#synced, retryInMs });
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

/** What is wrong with a stream that was over before the complete state was there. */
function incompleteStream(end: WatchEnd): Failure {
  switch (end) {
    case 'idle':
      return endFailure('idle', 'the stream brought neither an object nor its end mark in time');
    case 'overdue':
      return endFailure('idle', 'the stream did not come to its end mark in time');
    case 'ended':
    case 'unmarked':
      return endFailure('unmarked', 'the stream does not say where the complete state ends');
  }
}
