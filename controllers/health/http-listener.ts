import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { WeirError } from '../../pkg/runtime/index.ts';

export interface HttpAnswer {
  readonly status: number;
  /** `Content-Length` and `Date` come by themselves. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers a request by its path (without the query). Any method is as good as GET, as in kube-proxy; HEAD gets no body. */
export type HttpHandler = (path: string) => HttpAnswer | Promise<HttpAnswer>;

export interface BindAddress {
  /** Literal address. */
  readonly host: string;
  readonly port: number;
}

export interface HttpListener {
  /** As bound; the port was chosen by the kernel when it was asked for as 0. */
  readonly port: number;
  /** Ends open connections, too. */
  close(): Promise<void>;
}

export interface ListenOptions {
  /** Keeps `::` from taking the port of 0.0.0.0, too. */
  readonly ipv6Only?: boolean;
  /** The handler threw; the client got status 500. */
  readonly onError: (error: unknown) => void;
}

/** A probe needs milliseconds; who takes longer is broken or wants to keep the connection for nothing. */
const requestTimeoutMs = 10_000;
const keepAliveTimeoutMs = 30_000;
/** More than all load balancers' probes of a node; beyond it file descriptors are the agent's own. */
const maxConnections = 200;

/** `1.2.3.4:10256`, `[::]:10256`. `undefined` when it is neither. */
export function parseBindAddress(text: string): BindAddress | undefined {
  const [, host, port] = /^(.*):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535) return undefined;
  const isBracketed = host.startsWith('[') && host.endsWith(']');
  const bare = isBracketed ? host.slice(1, -1) : host;
  if (isIP(bare) !== (isBracketed ? 6 : 4)) return undefined;
  return { host: bare, port: Number(port) };
}

/** The text that `parseBindAddress` reads. */
export function formatBindAddress({ host, port }: BindAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Listens on exactly this address. Rejects with WEIR_PORT_TAKEN, whatever the reason is. */
export function listenHttp(
  address: BindAddress,
  handler: HttpHandler,
  options: ListenOptions,
): Promise<HttpListener> {
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
    },
    (request, response) => void respond(request, response, handler, options.onError),
  );
  server.maxConnections = maxConnections;
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(bindError(address, error)));
    server.listen({ ...address, ipv6Only: options.ipv6Only ?? false }, () => resolve(listenerOf(server)));
  });
}

function bindError(address: BindAddress, cause: NodeJS.ErrnoException): WeirError {
  const why = cause.code === 'EADDRINUSE' ? 'another program listens there' : (cause.code ?? cause.message);
  return new WeirError('WEIR_PORT_TAKEN', `can not listen on ${formatBindAddress(address)}: ${why}`, {
    cause,
  });
}

function listenerOf(server: Server): HttpListener {
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  handler: HttpHandler,
  onError: ListenOptions['onError'],
): Promise<void> {
  // What a client sends is read and forgotten: it must not fill the socket.
  request.resume();
  let answer: HttpAnswer;
  try {
    answer = await handler(pathOf(request.url ?? '/'));
  } catch (error) {
    onError(error);
    answer = textAnswer(500, 'internal error\n');
  }
  const { status, headers, body } = answer;
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

function pathOf(url: string): string {
  const end = url.search(/[?#]/);
  return end === -1 ? url : url.slice(0, end);
}

/** Plain text that no browser shall take for anything else. */
export function textAnswer(status: number, body: string): HttpAnswer {
  return {
    status,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' },
    body,
  };
}

export function jsonAnswer(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  return {
    status,
    headers: { 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff', ...headers },
    body,
  };
}

export const notFound: HttpAnswer = textAnswer(404, '404 page not found\n');
