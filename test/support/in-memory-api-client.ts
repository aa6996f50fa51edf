import type { Clock } from '../../pkg/runtime/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';
import {
  type ApiClient,
  type ApiRequest,
  ApiStatusError,
  type ApiStream,
} from '../../pkg/source/apiserver/api-client.ts';
import { statusError } from '../../pkg/source/apiserver/status-error.ts';
import { FakeApiLists } from './fake-api-list.ts';
import { optionsRefusal } from './fake-api-options.ts';
import { type Resource, type Route, routeOf } from './fake-api-resources.ts';
import { type Release, type Selector, selectorOf } from './fake-api-selectors.ts';
import { noProgress, type StatusAnswer, statusObject } from './fake-api-status.ts';
import { FakeApiStore, parsed } from './fake-api-store.ts';
import { type Disturbance, errorLine, InMemoryWatch } from './in-memory-watch.ts';

type Json = Readonly<Record<string, unknown>>;

export interface AskedRequest {
  readonly verb: ApiRequest['verb'];
  readonly resource: Resource;
  readonly query: URLSearchParams;
}

export interface InMemoryApiOptions {
  readonly clock: Clock;
  /**
   * Whether watches may begin with what is there: `ignored` as by servers that do not know the parameter, `no-progress` as by
   * one whose etcd does not say how far it is: it promises streams, and each is an ERROR event.
   */
  readonly watchList?: 'on' | 'refused' | 'ignored' | 'no-progress';
  /** What it can select by. */
  readonly release?: Release;
  /** Cuts what a watch sends into pieces of this many bytes. */
  readonly pieceBytes?: () => number;
}

/** An API server and the client of it in one, without sockets, in the time of a clock that a test moves. */
export class InMemoryApiClient implements ApiClient {
  readonly #options: InMemoryApiOptions;
  readonly #store = new FakeApiStore(10_000);
  readonly #lists = new FakeApiLists(this.#store);
  readonly watches = new Set<InMemoryWatch>();
  readonly requests: AskedRequest[] = [];
  /** What befalls a request instead of an answer. */
  refuse: (request: AskedRequest) => Error | undefined = () => undefined;
  /** What befalls a watch as it begins. */
  begin: (request: AskedRequest) => (Disturbance & { readonly afterLines?: number }) | undefined = () =>
    undefined;

  constructor(options: InMemoryApiOptions) {
    this.#options = options;
  }

  async open(request: ApiRequest, signal: AbortSignal): Promise<ApiStream> {
    const { asked, route, selector } = await this.#ask(request, signal);
    const { query } = asked;
    const { clock, watchList = 'on', pieceBytes } = this.#options;
    const beginning = query.get('sendInitialEvents') === 'true';
    const failure: Disturbance | undefined =
      beginning && watchList === 'no-progress' ? { effect: 'say', text: errorLine(noProgress) } : undefined;
    const watch = new InMemoryWatch({
      clock,
      signal,
      store: this.#store,
      route,
      selector,
      version: beginning ? undefined : Number(query.get('resourceVersion')),
      marksEnd: watchList === 'on',
      sparseBookmarks: watchList === 'no-progress',
      begins: failure ?? this.begin(asked),
      timeoutMs: Number(query.get('timeoutSeconds')) * 1000,
      pieceBytes: pieceBytes ?? (() => Number.POSITIVE_INFINITY),
      onEnd: () => this.watches.delete(watch),
    });
    this.watches.add(watch);
    return { chunks: watch.chunks() };
  }

  async json(request: ApiRequest, signal: AbortSignal): Promise<unknown> {
    const { asked, route, selector } = await this.#ask(request, signal);
    const answer = this.#lists.list(route, asked.query, selector);
    if ('code' in answer) throw statusErrorOf(answer);
    return JSON.parse(Buffer.concat([...answer]).toString()) as unknown;
  }

  async close(): Promise<void> {
    // There is nothing to close.
  }

  put(object: Json): void {
    this.#store.put(object);
  }

  remove(resource: Resource, namespace: string, name: string): boolean {
    return this.#store.remove(resource, namespace, name);
  }

  list(resource: Resource): readonly Json[] {
    return this.#store.list(resource).map(parsed);
  }

  /** Forgets the history: watches from earlier, and lists that were begun, can't go on. */
  compact(resource: Resource): void {
    this.#store.compact(resource);
    this.#lists.expire();
  }

  expireLists(): void {
    this.#lists.expire();
  }

  asked(verb: ApiRequest['verb'], resource: Resource): readonly AskedRequest[] {
    return this.requests.filter((request) => request.verb === verb && request.resource === resource);
  }

  async #ask(
    request: ApiRequest,
    signal: AbortSignal,
  ): Promise<{ readonly asked: AskedRequest; readonly route: Route; readonly selector: Selector }> {
    // As over a wire: the answer is not there at once.
    await Promise.resolve();
    signal.throwIfAborted();
    const [path = '', query = ''] = request.path.split('?');
    const route = routeOf(path);
    if (route === undefined) throw new ApiStatusError(404, 'NotFound', `no such path: ${path}`);
    const asked = { verb: request.verb, resource: route.resource, query: new URLSearchParams(query) };
    this.requests.push(asked);
    const error = this.refuse(asked);
    if (error !== undefined) throw error;
    const { watchList = 'on', release } = this.#options;
    const support = watchList === 'ignored' ? 'unknown' : watchList === 'refused' ? 'off' : 'on';
    const refusal = optionsRefusal(asked.query, asked.verb === 'WATCH', support);
    if (refusal !== undefined) throw statusErrorOf(refusal);
    const selector = selectorOf(route.resource, asked.query, release);
    if (typeof selector === 'string') throw statusErrorOf({ code: 400, message: selector });
    return { asked, route, selector };
  }
}

/** As the transport makes one of an answer. */
function statusErrorOf(answer: StatusAnswer): ApiStatusError {
  return statusError({ statusCode: answer.code, headers: {}, text: JSON.stringify(statusObject(answer)) });
}

/** As a client says it when the other side is not there. */
export function unreachable(): WeirError {
  return new WeirError(
    'WEIR_API_UNREACHABLE',
    'the API server https://10.96.0.1 gives no usable answer: connect ECONNREFUSED',
  );
}

export function forbidden(resource: Resource): ApiStatusError {
  return new ApiStatusError(403, 'Forbidden', `${resource} is forbidden: User "weir" cannot list them`);
}
