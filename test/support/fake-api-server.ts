import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { FakeApiConnections } from './fake-api-connections.ts';
import type { Fault } from './fake-api-faults.ts';
import { FakeApiHandler, type FakeApiOptions, type RecordedRequest } from './fake-api-handler.ts';
import type { Resource } from './fake-api-resources.ts';
import { FakeApiStore, parsed } from './fake-api-store.ts';
import type { FakeApiWatch, WatchDisturbance } from './fake-api-watch.ts';

type Json = Readonly<Record<string, unknown>>;

export interface FakeApiServerOptions extends Partial<FakeApiOptions> {
  /** Makes it speak TLS. `clientCa` asks clients for certificates of that authority; without one they are turned away. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  /** 127.0.0.1 unless told; `::1` for IPv6. */
  readonly address?: string;
  /** How many changes a kind's history keeps; 10,000 unless told. */
  readonly historyLimit?: number;
}

/**
 * An API server as far as a node agent sees one: lists in pages, watches with bookmarks, single objects, Events; and
 * everything that can go wrong with one, on demand.
 */
export class FakeApiServer {
  readonly #address: string;
  readonly #scheme: 'http' | 'https';
  readonly #server: Server | TlsServer;
  readonly #connections: FakeApiConnections;
  readonly #store: FakeApiStore;
  readonly #handler: FakeApiHandler;
  #port = 0;

  constructor(options: FakeApiServerOptions = {}) {
    this.#address = options.address ?? '127.0.0.1';
    this.#store = new FakeApiStore(options.historyLimit ?? 10_000);
    const answer = (request: IncomingMessage, response: ServerResponse): void =>
      void this.#handler.handle(request, response);
    this.#scheme = options.tls === undefined ? 'http' : 'https';
    this.#server =
      options.tls === undefined ? createServer(answer) : createTlsServer(tlsOptions(options.tls), answer);
    // Like an API server: connections stay for as long as the client likes.
    this.#server.keepAliveTimeout = 90_000;
    this.#server.requestTimeout = 0;
    this.#connections = new FakeApiConnections(this.#server);
    this.#handler = new FakeApiHandler(this.#store, this.#connections, {
      watchList: options.watchList ?? 'on',
      release: options.release ?? 'current',
      expiredAs: options.expiredAs ?? 'event',
      bookmarkIntervalMs: options.bookmarkIntervalMs ?? 60_000,
      token: options.token,
    });
  }

  /** Where it listens; the port stays the same for its whole life. */
  get url(): string {
    const host = this.#address.includes(':') ? `[${this.#address}]` : this.#address;
    return `${this.#scheme}://${host}:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Everything that was asked, oldest first. */
  get requests(): readonly RecordedRequest[] {
    return this.#handler.requests;
  }

  /** The watches that run now. */
  get watches(): readonly FakeApiWatch[] {
    return [...this.#handler.watches];
  }

  /** How many connections came in, ever. */
  get accepted(): number {
    return this.#connections.accepted;
  }

  /** How many connections are open. */
  get connected(): number {
    return this.#connections.open;
  }

  /** The newest resourceVersion. */
  get version(): number {
    return this.#store.version;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, this.#address, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async close(): Promise<void> {
    this.#handler.close();
    await this.refuse();
  }

  /** Creates or replaces a wire object; returns its resourceVersion. */
  put(object: Json): number {
    return this.#store.put(object);
  }

  /** Says whether there was one. `namespace` is empty for cluster-wide kinds. */
  remove(resource: Resource, namespace: string, name: string): boolean {
    return this.#store.remove(resource, namespace, name);
  }

  /** An object as lists show it. */
  get(resource: Resource, namespace: string, name: string): Json | undefined {
    const object = this.#store.get(resource, namespace, name);
    return object === undefined ? undefined : parsed(object);
  }

  /** All objects of a kind as a plain list shows them. */
  list(resource: Resource): readonly Json[] {
    return this.#store.list(resource).map((object) => parsed(object));
  }

  /** Orders something to go wrong with requests to come. Orders are tried in the order they were given. */
  fault(fault: Fault): void {
    this.#handler.faults.add(fault);
  }

  clearFaults(): void {
    this.#handler.faults.clear();
  }

  /** Something goes wrong with the watches that run now; returns how many. */
  disturbWatches(disturbance: WatchDisturbance, resource?: Resource): number {
    const disturbed = this.watches.filter((watch) => resource === undefined || watch.resource === resource);
    for (const watch of disturbed) watch.disturb(disturbance);
    return disturbed.length;
  }

  /** Sends bookmarks now. */
  bookmark(resource?: Resource): void {
    for (const watch of this.watches) {
      if (resource === undefined || watch.resource === resource) watch.bookmark();
    }
  }

  /** Forgets the history of a kind, and lists begun and not ended: old versions and continue tokens are expired. */
  expire(resource: Resource): void {
    this.#store.compact(resource);
    this.#handler.lists.expire();
  }

  /** Lets pass whom it let pass before only with this bearer token; `undefined` lets everybody pass. */
  acceptToken(token: string | undefined): void {
    this.#handler.token = token;
  }

  /** From now on this kind is forbidden (403), or does not exist at all (404). */
  deny(resource: Resource, how: 'forbidden' | 'absent' = 'forbidden'): void {
    this.#handler.denied.set(resource, how);
  }

  allow(resource: Resource): void {
    this.#handler.denied.delete(resource);
  }

  /** Says whether it answers `sendInitialEvents`, and how it refuses; as an upgrade or a feature gate changes it. */
  setWatchList(watchList: FakeApiOptions['watchList']): void {
    this.#handler.watchList = watchList;
  }

  /** Shows another certificate on new connections. */
  setCertificate(tls: { readonly cert: string; readonly key: string }): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(tlsOptions(tls));
  }

  /** Falls silent: new connections are taken and not read, old ones hear nothing more. Until `speak`. */
  fallSilent(): void {
    this.#connections.fallSilent();
  }

  /** Goes on after `fallSilent`; whoever connected meanwhile is reset. */
  speak(): void {
    this.#connections.speak();
  }

  /** Nobody listens on the port any more, and every connection is reset. Back with `start`. */
  async refuse(): Promise<void> {
    this.#connections.resetAll();
    if (!this.#server.listening) return;
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#connections.resetAll();
    });
  }
}

function tlsOptions(tls: NonNullable<FakeApiServerOptions['tls']>) {
  const { cert, key, clientCa } = tls;
  return { cert, key, ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true }) };
}
