import { ApiStatusError } from './api-client.ts';

interface Status {
  readonly kind?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
  readonly details?: { readonly retryAfterSeconds?: unknown } | null;
}

/** The parts of a response that tell what an answer other than success means. */
export interface FailedResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** What came of the body. */
  readonly text: string;
}

/** The error for an answer other than 2xx. What is no Status object (a proxy's page, say) is quoted by its first line. */
export function statusError({ statusCode, headers, text }: FailedResponse): ApiStatusError {
  const status = parseStatus(text);
  const details = status?.details?.retryAfterSeconds;
  const asked = retryAfterMs(headers) ?? (typeof details === 'number' ? details * 1000 : undefined);
  const reason = typeof status?.reason === 'string' ? status.reason : '';
  const told = typeof status?.message === 'string' ? status.message : (text.trim().split('\n')[0] ?? '');
  const message = `the API server answered ${statusCode}${told === '' ? '' : `: ${told.slice(0, 300)}`}`;
  return new ApiStatusError(statusCode, reason, message, asked);
}

/**
 * Retry-After in milliseconds (RFC 9110 §10.2.3). A date is counted from the response's own Date, so that it does not
 * matter whether the two clocks agree. `undefined` when there is none that means anything.
 */
function retryAfterMs(headers: FailedResponse['headers']): number | undefined {
  const text = one(headers['retry-after']);
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const ms = Date.parse(text) - Date.parse(one(headers['date']));
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

function one(header: string | readonly string[] | undefined): string {
  return (typeof header === 'string' ? header : (header?.[0] ?? '')).trim();
}

function parseStatus(text: string): Status | undefined {
  try {
    const parsed = JSON.parse(text) as Status | null;
    return parsed?.kind === 'Status' ? parsed : undefined;
  } catch {
    return undefined;
  }
}
