import { isWeirError } from '../../runtime/index.ts';
import { ApiStatusError } from './api-client.ts';

/** Why a list or watch failed; short and few, for metrics. */
export type FailureReason =
  | 'unreachable'
  | 'credentials'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'expired'
  | 'too_new'
  | 'throttled'
  | 'invalid'
  | 'server_error'
  | 'answer'
  | 'short'
  | 'idle'
  | 'unmarked'
  | 'bug';

/**
 * How to go on. `resume`: from the last resourceVersion. `doubt`: the same, but should it keep failing there, the
 * resourceVersion may be the reason. `relist`: what is known has to be compared with a new list.
 */
export type Recovery = 'resume' | 'doubt' | 'relist';

export interface Failure {
  readonly reason: FailureReason;
  readonly recovery: Recovery;
  /** Milliseconds that the server asks to wait. */
  readonly retryAfterMs: number;
  /** One line for a person. */
  readonly message: string;
}

/** Longer than this nobody may make Weir blind. */
const longestRetryAfterMs = 300_000;

/** A watch that was over without an error, and should not have been. */
export function endFailure(reason: 'short' | 'idle' | 'unmarked', message: string): Failure {
  return { reason, recovery: 'resume', retryAfterMs: 0, message };
}

/**
 * Whether the server does not know a field of a selector: the two ways in which API servers say so, both with 400. For
 * Services that is `spec.clusterIP` before Kubernetes 1.31.
 */
export function refusesFieldSelector({ reason, message }: Failure): boolean {
  return reason === 'invalid' && /field label not supported|not a known field selector/i.test(message);
}

/**
 * Whether a failure says that the server does not stream lists, as opposed to: it is not there, or Weir may not ask. An
 * answer is enough, whatever it says: client-go, too, lists by pages after any error (kubernetes/kubernetes#120984).
 */
export function isStreamRefusal({ reason }: Failure, wasOpened: boolean): boolean {
  switch (reason) {
    case 'unreachable':
      return wasOpened;
    case 'credentials':
    case 'unauthorized':
    case 'forbidden':
    case 'not_found':
    case 'bug':
      return false;
    case 'expired':
    case 'too_new':
    case 'throttled':
    case 'invalid':
    case 'server_error':
    case 'answer':
    case 'short':
    case 'idle':
    case 'unmarked':
      return true;
  }
}

/** What a thrown error means for a list or watch. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ApiStatusError) {
    const retryAfterMs = Math.min(error.retryAfterMs ?? 0, longestRetryAfterMs);
    return { ...statusFailure(error), retryAfterMs, message };
  }
  const code = isWeirError(error) ? error.code : undefined;
  if (code === 'WEIR_API_ANSWER') return { reason: 'answer', recovery: 'doubt', retryAfterMs: 0, message };
  if (code === undefined) return { reason: 'bug', recovery: 'relist', retryAfterMs: 0, message };
  const reason = code === 'WEIR_API_CREDENTIALS' ? 'credentials' : 'unreachable';
  return { reason, recovery: 'resume', retryAfterMs: 0, message };
}

function statusFailure({ code, reason, message }: ApiStatusError): Pick<Failure, 'reason' | 'recovery'> {
  // A server that lags behind the one that gave the version; API servers say so only in the text.
  if (/too large resource version/i.test(message)) return { reason: 'too_new', recovery: 'relist' };
  switch (code) {
    case 400:
    case 422:
      return { reason: 'invalid', recovery: 'relist' };
    case 401:
      return { reason: 'unauthorized', recovery: 'resume' };
    case 403:
      return { reason: 'forbidden', recovery: 'resume' };
    case 404:
      return { reason: 'not_found', recovery: 'relist' };
    case 410:
      return { reason: 'expired', recovery: 'relist' };
    case 429:
      return { reason: 'throttled', recovery: 'resume' };
    case 503:
    case 504:
      return { reason: 'server_error', recovery: 'resume' };
    default:
      if (reason === 'Expired' || reason === 'Gone') return { reason: 'expired', recovery: 'relist' };
      return { reason: 'server_error', recovery: code >= 500 ? 'doubt' : 'relist' };
  }
}
