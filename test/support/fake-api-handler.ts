import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type BodyFault, FakeApiBody } from './fake-api-body.ts';
import type { FakeApiConnections } from './fake-api-connections.ts';
import { eventRefusal } from './fake-api-events.ts';
import { FakeApiFaults, type FakeApiVerb, type FaultEffect } from './fake-api-faults.ts';
import { FakeApiLists } from './fake-api-list.ts';
import { createObject, patchObject, sendObject } from './fake-api-objects.ts';
import { optionsRefusal, type WatchListSupport } from './fake-api-options.ts';
import { type Resource, type Route, routeOf } from './fake-api-resources.ts';
import { type Release, type Selector, selectorOf } from './fake-api-selectors.ts';
import {
  noProgress,
  type StatusAnswer,
  sendNotFound,
  sendStatus,
  tooNew,
  tooOld,
} from './fake-api-status.ts';
import type { FakeApiStore } from './fake-api-store.ts';
import { FakeApiWatch } from './fake-api-watch.ts';

type Json = Readonly<Record<string, unknown>>;

export interface FakeApiOptions {
  /**
   * Whether `sendInitialEvents` is answered; 400 and 422 refuse it, `ignored` is a server that does not know the word, and
   * `no-progress` one that promises streams and can't keep it, because its etcd does not say how far it is.
   */
  readonly watchList: 'on' | 'ignored' | 'no-progress' | 400 | 422;
  /** What it can select by. */
  readonly release: Release;
  /** How a watch from too old a version is turned away: with an ERROR event, or with HTTP 410. */
  readonly expiredAs: 'event' | 'http';
  readonly bookmarkIntervalMs: number;
  /** The bearer token to show; everybody may come in without one. */
  readonly token: string | undefined;
}

/** A request as it came in. */
export interface RecordedRequest {
  readonly verb: FakeApiVerb;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly resource: Resource | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Common name of the client's certificate. */
  readonly clientName: string | undefined;
  /** Connections count from 1. */
  readonly connection: number;
  /** Parsed JSON. */
  readonly body: unknown;
}

/** Answers the requests of a fake API server. */
export class FakeApiHandler {
  readonly faults = new FakeApiFaults();
  readonly requests: RecordedRequest[] = [];
  readonly watches = new Set<FakeApiWatch>();
  readonly denied = new Map<Resource, 'forbidden' | 'absent'>();
  readonly lists: FakeApiLists;
  token: string | undefined;
  watchList: FakeApiOptions['watchList'];
  readonly #store: FakeApiStore;
  readonly #connections: FakeApiConnections;
  readonly #options: FakeApiOptions;
  readonly #stopListening: () => void;
  readonly #bookmarks: NodeJS.Timeout;

  constructor(store: FakeApiStore, connections: FakeApiConnections, options: FakeApiOptions) {
    this.lists = new FakeApiLists(store);
    this.token = options.token;
    this.watchList = options.watchList;
    this.#store = store;
    this.#connections = connections;
    this.#options = options;
    this.#stopListening = store.listen(() => {
      for (const watch of this.watches) watch.wake();
    });
    this.#bookmarks = setInterval(() => {
      for (const watch of this.watches) watch.bookmark();
    }, options.bookmarkIntervalMs).unref();
  }

  close(): void {
    this.#stopListening();
    clearInterval(this.#bookmarks);
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const url = new URL(request.url ?? '/', 'http://server');
    const route = routeOf(url.pathname);
    const verb = verbOf(request, url, route);
    const body = await bodyOf(request);
    if (body === undefined) return;
    this.#record(request, url, route, verb, body);
    await this.#connections.mayWrite();
    const isStreaming = verb === 'WATCH' && url.searchParams.get('sendInitialEvents') === 'true';
    const fault = this.faults.take(route?.resource, verb, isStreaming);
    const refusal = this.#refusal(request, route, verb);
    if (fault !== undefined && this.#failsAtOnce(fault, response)) return;
    if (refusal !== undefined) return sendStatus(response, refusal);
    if (route === undefined || this.denied.get(route.resource) === 'absent')
      return sendNotFound(response, url.pathname);
    const invalid = eventRefusal(route, verb, body);
    if (invalid !== undefined) return sendStatus(response, invalid);
    if (verb === 'WATCH' || verb === 'LIST')
      return this.#read(route, verb, url.searchParams, response, fault);
    if (verb === 'POST') return createObject(this.#store, route, body as Json, response);
    if (verb === 'PATCH') patchObject(this.#store, route, body);
    return sendObject(this.#store, route, response);
  }

  #record(
    request: IncomingMessage,
    url: URL,
    route: Route | undefined,
    verb: FakeApiVerb,
    body: unknown,
  ): void {
    const { headers, socket, method = '' } = request;
    this.requests.push({
      verb,
      method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      resource: route?.resource,
      headers,
      clientName: clientNameOf(socket),
      connection: this.#connections.numberOf(socket.remotePort),
      body: body === '' ? undefined : body,
    });
  }

  #refusal(request: IncomingMessage, route: Route | undefined, verb: FakeApiVerb): StatusAnswer | undefined {
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      return { code: 401, message: 'Unauthorized' };
    }
    if (route === undefined || this.denied.get(route.resource) !== 'forbidden') return undefined;
    const { resource, groupVersion } = route;
    const group = groupVersion.includes('/') ? groupVersion.split('/')[0] : '';
    const what = `${verb.toLowerCase()} resource "${resource}" in API group "${group}" at the cluster scope`;
    const user = 'system:serviceaccount:kube-system:weir';
    return { code: 403, message: `${resource} is forbidden: User "${user}" cannot ${what}` };
  }

  /** Says whether the request is done with. */
  #failsAtOnce(fault: FaultEffect, response: ServerResponse): boolean {
    switch (fault.effect) {
      case 'stall':
        return true;
      case 'no-answer':
        response.socket?.resetAndDestroy();
        return true;
      case 'status':
        if (fault.body === undefined) sendStatus(response, fault);
        else response.writeHead(fault.code, { 'content-type': 'text/plain' }).end(fault.body);
        return true;
      case 'error-event':
      case 'reset':
      case 'cut':
      case 'hang':
      case 'slow':
      case 'garbage':
        return false;
    }
  }

  async #read(
    route: Route,
    verb: 'WATCH' | 'LIST',
    query: URLSearchParams,
    response: ServerResponse,
    fault: FaultEffect | undefined,
  ): Promise<void> {
    const refusal = optionsRefusal(query, verb === 'WATCH', supportOf(this.watchList));
    if (refusal !== undefined)
      return sendStatus(
        response,
        this.watchList === 400 ? { ...refusal, code: 400, reason: 'BadRequest' } : refusal,
      );
    const selector = selectorOf(route.resource, query, this.#options.release);
    if (typeof selector === 'string') return sendStatus(response, { code: 400, message: selector });
    if (verb === 'WATCH') return this.#watch(route, query, selector, response, fault);
    const parts = this.lists.list(route, query, selector);
    if ('code' in parts) return sendStatus(response, parts);
    const body = this.#begin(response, fault);
    for (const part of parts) await body.write(part);
    body.end();
  }

  async #watch(
    route: Route,
    query: URLSearchParams,
    selector: Selector,
    response: ServerResponse,
    fault: FaultEffect | undefined,
  ): Promise<void> {
    const asksInitial = query.get('sendInitialEvents') === 'true' && this.watchList !== 'ignored';
    const asked = query.get('resourceVersion') ?? '';
    const refusal = asksInitial ? undefined : this.#watchRefusal(route, asked);
    if (refusal !== undefined) return sendStatus(response, refusal);
    const bookmarks = query.get('allowWatchBookmarks') === 'true';
    const fromNothing = asksInitial || asked === '' || asked === '0';
    const body = this.#begin(response, fault);
    const watch = new FakeApiWatch(
      {
        route,
        selector,
        bookmarks,
        initialEvents: fromNothing,
        markEnd: asksInitial && bookmarks,
        version: fromNothing ? undefined : Number(asked),
      },
      this.#store,
      body,
    );
    this.watches.add(watch);
    response.once('close', () => {
      this.watches.delete(watch);
      watch.wake();
    });
    const seconds = Number(query.get('timeoutSeconds') ?? 1800);
    const timer = setTimeout(() => watch.disturb({ effect: 'end' }), seconds * 1000).unref();
    const failure = asksInitial && bookmarks ? this.#streamFailure(asked) : undefined;
    await watch.run(failure === undefined ? fault : { effect: 'error-event', ...failure });
    clearTimeout(timer);
  }

  /** What a stream says instead of the state; the answer has begun with 200 by then. */
  #streamFailure(asked: string): StatusAnswer | undefined {
    if (this.watchList === 'no-progress') return noProgress;
    return Number(asked) > this.#store.version ? tooNew(Number(asked), this.#store.version) : undefined;
  }

  #watchRefusal(route: Route, asked: string): StatusAnswer | undefined {
    if (this.#options.expiredAs === 'event' || asked === '' || asked === '0') return undefined;
    const known = this.#store.cursorAfter(route.resource, Number(asked)) !== undefined;
    return known ? undefined : tooOld(asked, this.#store.version);
  }

  #begin(response: ServerResponse, fault: FaultEffect | undefined): FakeApiBody {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    return new FakeApiBody(response, bodyFaultOf(fault), () => this.#connections.mayWrite());
  }
}

function supportOf(watchList: FakeApiOptions['watchList']): WatchListSupport {
  if (watchList === 'ignored') return 'unknown';
  return watchList === 'on' || watchList === 'no-progress' ? 'on' : 'off';
}

function clientNameOf(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  // Empty without a certificate, whatever the types say.
  const { subject } = socket.getPeerCertificate() as { readonly subject?: { readonly CN?: string } };
  return subject?.CN;
}

function verbOf(request: IncomingMessage, url: URL, route: Route | undefined): FakeApiVerb {
  if (request.method === 'POST' || request.method === 'PATCH') return request.method;
  if (['1', 'true'].includes(url.searchParams.get('watch') ?? '')) return 'WATCH';
  return route === undefined || route.name !== undefined ? 'GET' : 'LIST';
}

/** The parsed body, an empty text when there is none; `undefined` when the client has gone. */
async function bodyOf(request: IncomingMessage): Promise<unknown> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    return text === '' ? '' : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

function bodyFaultOf(fault: FaultEffect | undefined): BodyFault | undefined {
  switch (fault?.effect) {
    case 'reset':
    case 'cut':
    case 'hang':
    case 'slow':
    case 'garbage':
      return fault;
    case 'stall':
    case 'no-answer':
    case 'status':
    case 'error-event':
    case undefined:
      return undefined;
  }
}
