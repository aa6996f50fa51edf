import type { Logger } from '../../pkg/log/index.ts';
import { type Clock, errorLine } from '../../pkg/runtime/index.ts';
import { type ApiClient, ApiStatusError } from '../../pkg/source/index.ts';
import { type EventDetails, eventBody, eventPath, eventsPath, microTime } from './event-object.ts';
import { TokenBucket } from './token-bucket.ts';

export type { EventDetails } from './event-object.ts';

/** What tells people of something, and forgets about it. */
export interface EventSink {
  event(details: EventDetails): void;
}

/** What events need. PATCH is a merge patch. */
export type EventClient = Pick<ApiClient, 'json'>;

export interface EventRecorderOptions {
  readonly client: EventClient;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'debug'>;
  /** The date; the machine's own unless told. */
  readonly date?: () => Date;
}

interface RecordedEvent {
  readonly namespace: string;
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Of the object that it is about. */
  readonly object: string;
  count: number;
  lastAt: number;
  lastDate: Date;
  isPosted: boolean;
}

/** Equal events within this time are one, which happened several times. */
const seriesMs = 600_000;
/** So many events are remembered, and so many wait to be sent. */
const remembered = 500;
const longestQueue = 100;
/** As client-go's budget for one object. */
const objectBudget = { burst: 25, refillMs: 300_000 };
/** Whatever happens: a fault of every Service at once must not become a load on the API server. */
const overallBudget = { burst: 50, refillMs: 6000 };
const timeoutMs = 10_000;

/**
 * Writes events about Nodes and Services for `kubectl get events`. An event that happens again within ten minutes becomes a
 * series: its count and last time are updated. Never waits and never fails: what the API server does not take, or what is more than the
 * budget, is dropped.
 */
export class EventRecorder implements EventSink {
  readonly #options: EventRecorderOptions;
  readonly #recorded = new Map<string, RecordedEvent>();
  readonly #queue = new Set<RecordedEvent>();
  readonly #overall: TokenBucket;
  readonly #objects = new Map<string, TokenBucket>();
  readonly #abort = new AbortController();
  #sending: Promise<void> | undefined;
  #numbered = 0;
  #stopped = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#overall = new TokenBucket(options.clock, overallBudget);
  }

  event(details: EventDetails): void {
    if (this.#stopped) return;
    const recorded = this.#record(details);
    if (this.#queue.size >= longestQueue) {
      this.#options.log.debug(`event dropped, too many are waiting: ${details.reason}: ${details.note}`);
      return;
    }
    this.#queue.add(recorded);
    this.#sending ??= this.#sendAll();
  }

  /** Takes no more events; what waits may be sent within the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true;
    const timer = new AbortController();
    const late = this.#options.clock.sleep(deadlineMs, timer.signal).catch(() => undefined);
    await Promise.race([this.#sending, late]);
    timer.abort();
    this.#abort.abort(new Error('stopped before all events were sent'));
    await this.#sending;
  }

  #record(details: EventDetails): RecordedEvent {
    const { clock, nodeName, date = () => new Date() } = this.#options;
    const now = clock.now();
    const lastDate = date();
    const key = JSON.stringify([
      details.regarding,
      details.type,
      details.reason,
      details.action,
      details.note,
    ]);
    const known = this.#recorded.get(key);
    this.#recorded.delete(key);
    if (known !== undefined && now - known.lastAt <= seriesMs) {
      Object.assign(known, { count: known.count + 1, lastAt: now, lastDate });
      this.#recorded.set(key, known);
      return known;
    }
    this.#numbered += 1;
    const { namespace, name, body } = eventBody(details, {
      nodeName,
      date: lastDate,
      number: this.#numbered,
    });
    const object = JSON.stringify(details.regarding);
    const recorded = { namespace, name, body, object, count: 1, lastAt: now, lastDate, isPosted: false };
    this.#recorded.set(key, recorded);
    forgetOldest(this.#recorded, remembered);
    return recorded;
  }

  async #sendAll(): Promise<void> {
    // The caller goes on first, and may have more to say.
    await Promise.resolve();
    for (const recorded of this.#queue) {
      this.#queue.delete(recorded);
      if (this.#abort.signal.aborted) continue;
      if (!this.#isWithinBudget(recorded)) {
        this.#options.log.debug(`event dropped, there have been too many: ${recorded.name}`);
        continue;
      }
      await this.#send(recorded).catch((error: unknown) => {
        // Sent anew as a whole when it happens again: it may have expired, or never arrived.
        recorded.isPosted = false;
        this.#options.log.debug(`event not recorded: ${errorLine(error)}`);
      });
    }
    // At once, so that nobody adds to a queue that is not looked at any more.
    this.#sending = undefined;
  }

  async #send(recorded: RecordedEvent): Promise<void> {
    try {
      await (recorded.isPosted ? this.#patch(recorded) : this.#post(recorded));
    } catch (error) {
      const code = error instanceof ApiStatusError ? error.code : undefined;
      // It has expired; or it arrived, and the answer was lost.
      if (code === 404 && recorded.isPosted) await this.#post(recorded);
      else if (code === 409 && !recorded.isPosted) await this.#patch(recorded);
      else throw error;
    }
    recorded.isPosted = true;
  }

  #post({ namespace, body, count, lastDate }: RecordedEvent): Promise<unknown> {
    const whole = count > 1 ? { ...body, ...seriesOf(count, lastDate) } : body;
    return this.#request('POST', eventsPath(namespace), whole);
  }

  async #patch({ namespace, name, count, lastDate }: RecordedEvent): Promise<void> {
    // One event is no series.
    if (count > 1) await this.#request('PATCH', eventPath(namespace, name), seriesOf(count, lastDate));
  }

  #request(verb: 'POST' | 'PATCH', path: string, body: unknown): Promise<unknown> {
    const timeouts = { headersTimeoutMs: timeoutMs, idleTimeoutMs: timeoutMs };
    return this.#options.client.json({ verb, path, body, ...timeouts }, this.#abort.signal);
  }

  /** Counts only what both budgets allow. */
  #isWithinBudget({ object }: RecordedEvent): boolean {
    const bucket = this.#objects.get(object) ?? new TokenBucket(this.#options.clock, objectBudget);
    this.#objects.delete(object);
    this.#objects.set(object, bucket);
    forgetOldest(this.#objects, remembered);
    if (!bucket.hasToken || !this.#overall.hasToken) return false;
    bucket.take();
    this.#overall.take();
    return true;
  }
}

function seriesOf(count: number, lastDate: Date) {
  return { series: { count, lastObservedTime: microTime(lastDate) } };
}

function forgetOldest(map: Map<string, unknown>, limit: number): void {
  for (const key of map.keys()) {
    if (map.size <= limit) return;
    map.delete(key);
  }
}
