/** What kind of call it is, in the words of client-go's metrics. */
export type ApiVerb = 'GET' | 'LIST' | 'WATCH' | 'POST' | 'PATCH';

export interface ApiRequest {
  readonly verb: ApiVerb;
  /** Path below the server's address, with its query: `/api/v1/services?limit=500`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Milliseconds until the response's headers must be there; 30,000 unless told. */
  readonly headersTimeoutMs?: number;
  /** Milliseconds that the body may be silent; 60,000 unless told. */
  readonly idleTimeoutMs?: number;
}

/** A successful response whose body is still coming. Leaving the iteration early closes the connection. */
export interface ApiStream {
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Calls one API server with one identity. Every method throws an `ApiStatusError` for an answer that is not 2xx, a WeirError
 * WEIR_API_UNREACHABLE when there is no answer (refused, reset, timed out, TLS), and the signal's reason after an abort.
 */
export interface ApiClient {
  /** Resolves as soon as the headers of a 2xx response are there. */
  open(request: ApiRequest, signal: AbortSignal): Promise<ApiStream>;
  /** Reads the whole body as JSON. Broken JSON is WEIR_API_UNREACHABLE, too. */
  json(request: ApiRequest, signal: AbortSignal): Promise<unknown>;
  /** Ends all connections. */
  close(): Promise<void>;
}

/** What a call came to, for metrics. */
export interface ApiCall {
  readonly verb: ApiVerb;
  readonly host: string;
  /** HTTP status; `<error>` when there was no answer, as client-go says. */
  readonly code: string;
  /** Until the headers were there. */
  readonly durationMs: number;
}

/** An answer of the API server other than 2xx. */
export class ApiStatusError extends Error {
  override readonly name = 'ApiStatusError';
  /** HTTP status, or the code of a Status object in a watch. */
  readonly code: number;
  /** `Expired`, `Forbidden`, `TooManyRequests`…; empty when the body was no Status object. */
  readonly reason: string;
  /** Milliseconds the server asks to wait; from Retry-After. */
  readonly retryAfterMs: number | undefined;

  constructor(code: number, reason: string, message: string, retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}
