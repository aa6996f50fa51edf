import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';

/** An API server, and who asks it. */
export interface AskedServer {
  readonly url: string;
  readonly token: string;
  /** For `https`. */
  readonly ca?: string;
}

export interface ApiQuestion {
  readonly method?: 'GET' | 'POST' | 'PATCH';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Instead of the server's own. */
  readonly token?: string;
}

/** As much of an answer as two servers can have in common. */
export interface ApiAnswer {
  readonly status: number;
  /** Of a Status object. */
  readonly reason?: string;
  /** Of a list. */
  readonly names?: readonly string[];
  readonly hasMore?: boolean;
  readonly countsRest?: boolean;
  /** Of a watch, without bookmarks that only say how far it is: `ADDED name`, `ERROR 410 Expired`. */
  readonly events?: readonly string[];
  readonly kind?: string;
}

interface Wire {
  readonly kind?: string;
  readonly code?: number;
  readonly reason?: string;
  readonly type?: string;
  readonly object?: Wire;
  readonly items?: readonly Wire[];
  readonly metadata?: {
    readonly name?: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
    readonly resourceVersion?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** Asks and waits for the end of the answer. */
export async function ask(server: AskedServer, question: ApiQuestion): Promise<ApiAnswer> {
  const { status, text } = await send(server, question);
  if (question.query?.['watch'] === 'true' && status === 200) {
    const lines = text.split('\n').filter((line) => line !== '');
    const events = lines.map((line) => eventOf(JSON.parse(line) as Wire)).filter((event) => event !== '');
    return { status, events };
  }
  return { status, ...summaryOf(text) };
}

/** The `metadata` of a list or of an object. */
export async function metadataOf(
  server: AskedServer,
  question: ApiQuestion,
): Promise<NonNullable<Wire['metadata']>> {
  const { text } = await send(server, question);
  return (JSON.parse(text) as Wire).metadata ?? {};
}

function summaryOf(text: string): Omit<ApiAnswer, 'status'> {
  let answer: Wire;
  try {
    answer = JSON.parse(text) as Wire;
  } catch {
    return {};
  }
  const { kind = '', reason = '', items, metadata } = answer;
  if (kind === 'Status') return { kind, reason };
  if (items === undefined) return { kind };
  const names = items.map((item) => item.metadata?.name ?? '');
  const countsRest = metadata?.remainingItemCount !== undefined;
  return { kind, names, hasMore: (metadata?.continue ?? '') !== '', countsRest };
}

function eventOf({ type = '', object = {} }: Wire): string {
  if (type === 'ERROR') return `ERROR ${object.code} ${object.reason}`;
  const annotations = object.metadata?.annotations ?? {};
  if (type !== 'BOOKMARK') return `${type} ${object.metadata?.name}`;
  return 'k8s.io/initial-events-end' in annotations ? 'BOOKMARK of the end' : '';
}

function send(
  server: AskedServer,
  { method = 'GET', path, query = {}, body, token }: ApiQuestion,
): Promise<{ readonly status: number; readonly text: string }> {
  const url = new URL(server.url);
  const search = new URLSearchParams(query).toString();
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const options = {
    method,
    host: url.hostname,
    port: url.port,
    path: search === '' ? path : `${path}?${search}`,
    headers: { authorization: `Bearer ${token ?? server.token}`, 'content-type': type },
    agent: false,
  } as const;
  return new Promise((resolve, reject) => {
    const asking =
      url.protocol === 'https:' ? tlsRequest({ ...options, ca: server.ca }) : plainRequest(options);
    asking.once('error', reject);
    asking.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      );
    });
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
