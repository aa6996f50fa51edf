import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { type Clock, WeirError } from '../../runtime/index.ts';
import {
  type ApiCall,
  type ApiClient,
  type ApiRequest,
  ApiStatusError,
  type ApiStream,
  type ApiVerb,
} from './api-client.ts';
import { ConnectionPool } from './connection-pool.ts';
import { type ApiIdentity, Credentials } from './credentials.ts';
import type { CredentialsOptions } from './open-kube-config.ts';
import { statusError } from './status-error.ts';

export interface ApiClientOptions extends CredentialsOptions {
  readonly clock: Clock;
  readonly userAgent: string;
  /** Told of every answer and of every failure to get one. */
  readonly onCall?: ((call: ApiCall) => void) | undefined;
}

/** An `ApiClient` that says whom it calls. */
export interface ApiServerClient extends ApiClient {
  /** Address of the API server, without a slash at its end. */
  readonly server: string;
}

const defaultHeadersTimeoutMs = 30_000;
const defaultIdleTimeoutMs = 60_000;
/** What is read of the body of a refusal. */
const statusLimitBytes = 65_536;

const methods: Readonly<Record<ApiVerb, 'GET' | 'POST' | 'PATCH'>> = {
  GET: 'GET',
  LIST: 'GET',
  WATCH: 'GET',
  POST: 'POST',
  PATCH: 'PATCH',
};

/**
 * A client with the credentials of a kubeconfig or of the pod's service account. HTTP/1.1 with one connection for each request
 * at a time: a watch that stalls holds up nobody else. Throws WEIR_API_CREDENTIALS; does not call the server yet.
 */
export async function createApiClient(options: ApiClientOptions): Promise<ApiServerClient> {
  const credentials = await Credentials.load(options, options.clock);
  return new Transport(options, credentials, new ConnectionPool(await import('./undici.ts')));
}

class Transport implements ApiServerClient {
  readonly #options: ApiClientOptions;
  readonly #credentials: Credentials;
  readonly #pool: ConnectionPool;

  constructor(options: ApiClientOptions, credentials: Credentials, pool: ConnectionPool) {
    this.#options = options;
    this.#credentials = credentials;
    this.#pool = pool;
  }

  get server(): string {
    return this.#credentials.identity.server;
  }

  async open(request: ApiRequest, signal: AbortSignal): Promise<ApiStream> {
    const { body } = await this.#request(request, signal);
    return { chunks: this.#chunks(body, signal) };
  }

  async json(request: ApiRequest, signal: AbortSignal): Promise<unknown> {
    const { body } = await this.#request(request, signal);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#chunks(body, signal)) chunks.push(chunk);
    try {
      return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
    } catch (error) {
      throw this.#unreachable(error, `its answer to ${request.path} is not JSON`);
    }
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  /** A 2xx answer; one that is 401 is asked again once with credentials read anew. */
  async #request(request: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const first = await this.#credentials.current();
    try {
      return await this.#send(request, first, signal);
    } catch (error) {
      if (!(error instanceof ApiStatusError) || error.code !== 401) throw error;
      const renewed = await this.#credentials.renew(first);
      if (renewed === first) throw this.#unauthorised(error);
      return this.#send(request, renewed, signal);
    }
  }

  async #send(
    request: ApiRequest,
    identity: ApiIdentity,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const { clock } = this.#options;
    const begun = clock.now();
    const told = (code: string): void =>
      this.#options.onCall?.({
        verb: request.verb,
        host: new URL(identity.server).host,
        code,
        durationMs: clock.now() - begun,
      });
    const response = await this.#answer(request, identity, signal).catch((error: unknown) => {
      told('<error>');
      throw this.#failure(error, signal);
    });
    told(String(response.statusCode));
    if (response.statusCode >= 200 && response.statusCode < 300) return response;
    const { statusCode, headers } = response;
    throw statusError({ statusCode, headers, text: await this.#text(response.body, signal) });
  }

  /** The headers of the answer, whatever they say. */
  async #answer(
    request: ApiRequest,
    identity: ApiIdentity,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    signal.throwIfAborted();
    const { origin, pathname } = new URL(identity.server);
    const answer = this.#pool.agentFor(identity).request({
      origin,
      path: `${pathname === '/' ? '' : pathname}${request.path}`,
      method: methods[request.verb],
      headers: this.#headers(request, identity),
      body: request.body === undefined ? null : JSON.stringify(request.body),
      signal,
      headersTimeout: request.headersTimeoutMs ?? defaultHeadersTimeoutMs,
      bodyTimeout: request.idleTimeoutMs ?? defaultIdleTimeoutMs,
    });
    const response = await untilAborted(answer, signal);
    // A body may fail before anybody reads it; whoever reads it is told.
    response.body.on('error', () => {});
    return response;
  }

  #headers(request: ApiRequest, identity: ApiIdentity): Readonly<Record<string, string>> {
    const type = request.verb === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    return {
      accept: 'application/json',
      'user-agent': this.#options.userAgent,
      ...(request.body === undefined ? {} : { 'content-type': type }),
      ...identity.headers,
    };
  }

  async *#chunks(body: Dispatcher.ResponseData['body'], signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) yield chunk as Uint8Array;
    } catch (error) {
      throw this.#failure(error, signal);
    }
    // The connection counts as busy until undici's own turn has come; a call made before that would open another.
    await nextTurn();
  }

  /** The beginning of a body that says why not; what is missing of it does not hide the refusal. */
  async #text(body: Dispatcher.ResponseData['body'], signal: AbortSignal): Promise<string> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of this.#chunks(body, signal)) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > statusLimitBytes) break;
      }
    } catch {
      signal.throwIfAborted();
    }
    return Buffer.concat(chunks).toString();
  }

  #failure(error: unknown, signal: AbortSignal): unknown {
    return signal.aborted ? signal.reason : this.#unreachable(error, reasonOf(error));
  }

  #unreachable(cause: unknown, reason: string): WeirError {
    this.#credentials.doubt();
    const message = `the API server ${this.server} gives no usable answer: ${reason}${this.#problem()}`;
    return new WeirError('WEIR_API_UNREACHABLE', message, { cause });
  }

  #unauthorised({ code, reason, message, retryAfterMs }: ApiStatusError): ApiStatusError {
    return new ApiStatusError(code, reason, `${message}${this.#problem()}`, retryAfterMs);
  }

  #problem(): string {
    const { problem } = this.#credentials;
    return problem === undefined ? '' : ` (and the credentials can not be read again: ${problem})`;
  }
}

/** Does not wait for a connection that is still being made when nobody wants the answer any more. */
async function untilAborted(
  answer: Promise<Dispatcher.ResponseData>,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  let leave = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    leave = () => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([answer, aborted]);
  } catch (error) {
    answer.then(
      ({ body }) => body.on('error', () => {}).destroy(),
      () => undefined,
    );
    throw error;
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map((one) => reasonOf(one)).join('; ');
  return error instanceof Error ? error.message || error.name : String(error);
}
