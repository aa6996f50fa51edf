import type { ObjectKind } from '../../api/index.ts';
import { type Clock, errorLine, WeirError } from '../../runtime/index.ts';
import type { Source, SourceHandler } from '../source.ts';
import type { ApiClient } from './api-client.ts';
import { FailureLog, type SourceLog } from './failure-log.ts';
import { Reflector } from './reflector.ts';
import { noObserver, type ReflectorObserver } from './reflector-observer.ts';
import { qualifiedName, type Resource, watchedResources } from './resources.ts';
import { SharedValues } from './shared-values.ts';
import { StreamingLists } from './streaming-lists.ts';

export interface ApiServerSourceOptions {
  readonly client: ApiClient;
  /** Of the only Node that is read. */
  readonly nodeName: string;
  /** Kinds to read; defaults to all that Weir knows. */
  readonly kinds?: ReadonlySet<ObjectKind>;
  readonly clock: Clock;
  /** Uniform in [0, 1); Math.random unless told. */
  readonly random?: () => number;
  /** Milliseconds since 1970; Date.now unless told. */
  readonly epochMs?: () => number;
  readonly log: SourceLog;
  readonly observer?: ReflectorObserver;
}

/**
 * Objects from the API server, listed and watched. `start` resolves when every kind has told its first complete state,
 * however long that takes: what is in the way is logged, and tried again. It rejects only when it is stopped before.
 * Origins of diagnostics are the objects: `NetworkPolicy namespace/name`.
 */
export function createApiServerSource(options: ApiServerSourceOptions): Source {
  return new ApiServerSource(options);
}

class ApiServerSource implements Source {
  readonly #options: ApiServerSourceOptions;
  readonly #stop = new AbortController();
  readonly #resources: readonly Resource[];
  readonly #missing: Set<Resource>;
  readonly #shared = new SharedValues();
  readonly #streaming: StreamingLists;
  readonly #synced = Promise.withResolvers<void>();
  #running: readonly Promise<void>[] = [];

  constructor(options: ApiServerSourceOptions) {
    this.#options = options;
    this.#resources = watchedResources(options.nodeName, options.kinds);
    this.#missing = new Set(this.#resources);
    this.#streaming = new StreamingLists(options.clock);
  }

  async start(handler: SourceHandler): Promise<void> {
    const { clock, log } = this.#options;
    if (this.#stop.signal.aborted) throw this.#stopped();
    const begun = clock.now();
    const failures = new FailureLog(log);
    const reflectors = this.#resources.map((resource) => this.#reflector(resource, handler, failures));
    this.#running = reflectors.map((reflector) => reflector.run(this.#stop.signal));
    await this.#synced.promise;
    log.info('the API server has told everything there is', {
      objects: reflectors.reduce((sum, { size }) => sum + size, 0),
      milliseconds: Math.round(clock.now() - begun),
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort(this.#stopped());
    await Promise.all(this.#running);
    if (this.#running.length > 0) this.#synced.reject(this.#stop.signal.reason);
  }

  #reflector(resource: Resource, handler: SourceHandler, failures: FailureLog): Reflector {
    const { client, clock, random = Math.random, epochMs = Date.now, observer = noObserver } = this.#options;
    const safe = this.#safeHandler(resource.kind, handler, observer);
    return new Reflector({
      client,
      resource,
      clock,
      random,
      epochMs,
      handler: safe,
      observer,
      log: failures,
      shared: this.#shared,
      streaming: this.#streaming,
      onSynced: () => {
        this.#missing.delete(resource);
        if (this.#missing.size > 0) return;
        safe.synced();
        safe.settled();
        this.#synced.resolve();
      },
    });
  }

  /** One object that a handler can't take must not keep the others from it. Nothing is settled before everything is there. */
  #safeHandler(kind: ObjectKind, handler: SourceHandler, observer: ReflectorObserver): SourceHandler {
    const { log } = this.#options;
    const safely = (tell: () => void): void => {
      try {
        tell();
      } catch (error) {
        observer.failed(kind, 'handler');
        (log.error ?? log.warn)(`a fault in Weir while taking in a ${kind}: ${errorLine(error)}`, { error });
      }
    };
    return {
      upsert: (object, triggeredAt) => safely(() => handler.upsert(object, triggeredAt)),
      delete: (kind, namespace, name) => safely(() => handler.delete(kind, namespace, name)),
      synced: () => safely(() => handler.synced()),
      diagnostics: (origin, diagnostics) => safely(() => handler.diagnostics(origin, diagnostics)),
      settled: () => {
        if (this.#missing.size === 0) safely(() => handler.settled());
      },
    };
  }

  #stopped(): WeirError {
    const missing = [...this.#missing].map(qualifiedName).join(', ');
    const message =
      missing === '' ? 'stopped' : `stopped before the API server had told everything: missing ${missing}`;
    return new WeirError('WEIR_API_UNREACHABLE', message);
  }
}
