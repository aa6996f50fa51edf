import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { Agent, fetch } from 'undici';

/** The parts of a Kubernetes object that all have. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
  };
}

export interface WatchEvent<Item> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: Item;
}

/** An answer other than 2xx. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** As little of a client as the lab needs, apart from Weir's own on purpose: nothing may be wrong in both alike. */
export class ApiClient {
  readonly #server: string;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(server: string, caCertificate: string, token: string) {
    this.#server = server;
    this.#token = token;
    this.#agent = new Agent({ connect: { ca: caCertificate }, bodyTimeout: 0 });
  }

  get<Result>(path: string): Promise<Result> {
    return this.request<Result>('GET', path);
  }

  /** The object itself, or undefined where there is none. */
  async find<Result>(path: string): Promise<Result | undefined> {
    try {
      return await this.get<Result>(path);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  async request<Result>(method: Method, path: string, body?: unknown): Promise<Result> {
    const response = await this.#send(method, path, body);
    const text = await response.text();
    if (!response.ok) throw new ApiError(response.status, `${method} ${path}: ${messageOf(text)}`);
    return JSON.parse(text) as Result;
  }

  /** For paths that answer in plain text. */
  async text(path: string): Promise<string> {
    const response = await this.#send('GET', path);
    const text = await response.text();
    if (!response.ok) throw new ApiError(response.status, `GET ${path}: ${messageOf(text)}`);
    return text;
  }

  /** Creates or replaces what an object of this name sets, by server-side apply. */
  apply<Result>(path: string, object: unknown): Promise<Result> {
    return this.request<Result>('PATCH', `${path}?fieldManager=weir-lab&force=true`, object);
  }

  /** Events until the server ends the watch. Throws when it refuses it, or when it says ERROR. */
  async *watch<Item>(path: string, signal: AbortSignal): AsyncGenerator<WatchEvent<Item>> {
    const response = await this.#send('GET', path, undefined, signal);
    if (!response.ok)
      throw new ApiError(response.status, `watch ${path}: ${messageOf(await response.text())}`);
    if (response.body === null) return;
    for await (const line of createInterface({ input: Readable.fromWeb(response.body) })) {
      const event = JSON.parse(line) as WatchEvent<Item>;
      if (event.type === 'ERROR') throw new Error(`watch ${path}: ${line}`);
      yield event;
    }
  }

  #send(method: Method, path: string, body?: unknown, signal?: AbortSignal) {
    return fetch(`${this.#server}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.#token}`,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': contentType(method, path) }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }
}

function contentType(method: Method, path: string): string {
  if (method !== 'PATCH') return 'application/json';
  return path.includes('fieldManager=') ? 'application/apply-patch+yaml' : 'application/merge-patch+json';
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { readonly message?: string }).message ?? text;
  } catch {
    return text;
  }
}
