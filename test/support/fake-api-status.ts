import type { ServerResponse } from 'node:http';
import { isInServedGroup } from './fake-api-resources.ts';

/** The reasons that API servers give with their codes. */
const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'AlreadyExists',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** An answer other than success, as an API server words it. */
export interface StatusAnswer {
  readonly code: number;
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
  readonly retryAfter?: string | undefined;
  readonly details?: unknown;
}

export function statusObject({ code, reason, message, details }: StatusAnswer): unknown {
  const known = reason ?? reasons[code] ?? '';
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: message ?? `${known || code} as ordered`,
    reason: known,
    ...(details === undefined ? {} : { details }),
    code,
  };
}

export function sendStatus(response: ServerResponse, answer: StatusAnswer): void {
  const retryAfter = answer.retryAfter === undefined ? {} : { 'retry-after': answer.retryAfter };
  sendJson(response, statusObject(answer), answer.code, retryAfter);
}

function sendJson(
  response: ServerResponse,
  body: unknown,
  code = 200,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(`${JSON.stringify(body)}\n`);
}

/** As an API server answers a path it does not know: with a Status where it knows the group, and else in plain words. */
export function sendNotFound(response: ServerResponse, path: string): void {
  if (isInServedGroup(path))
    return sendStatus(response, { code: 404, message: 'the server could not find the requested resource' });
  response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
  response.end('404 page not found\n');
}

/** Of every stream of a server whose etcd is older than 3.4.31 or 3.5.13. */
export const noProgress: StatusAnswer = {
  code: 500,
  reason: 'InternalError',
  message:
    'a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled',
};

export function tooOld(version: string, oldest: number): StatusAnswer {
  return { code: 410, reason: 'Expired', message: `too old resource version: ${version} (${oldest})` };
}

/** What a server says that does not know the asked version yet. */
export function tooNew(version: number, current: number): StatusAnswer {
  const message = `Too large resource version: ${version}, current: ${current}`;
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  return { code: 504, reason: 'Timeout', message, details: { causes, retryAfterSeconds: 1 } };
}
