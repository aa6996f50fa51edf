import type { Failure } from './failure.ts';
import { qualifiedName, type Resource } from './resources.ts';

type Write = (message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** Where a source writes for people. */
export interface SourceLog {
  readonly debug?: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error?: Write;
}

export interface FailureContext {
  readonly verb: 'list' | 'watch';
  /** The kind's first complete state has not come yet: nothing is written to the kernel. */
  readonly isMissing: boolean;
  readonly retryInMs: number;
}

/**
 * Says what keeps the API server from telling, and what to do: each reason once until it is over. What concerns the
 * server as a whole is said once, not for every kind.
 */
export class FailureLog {
  readonly #log: SourceLog;
  /** What is wrong, by a key that stays the same while it is: its words, and the resources it holds for. */
  readonly #open = new Map<string, { readonly complaint: string; readonly concerned: Set<string> }>();

  constructor(log: SourceLog) {
    this.#log = log;
  }

  failed(resource: Resource, failure: Failure, context: FailureContext): void {
    const complaint = complaintOf(resource, failure, context.verb);
    // Who may not list may not watch either, and the server words the two differently.
    const key = failure.reason === 'forbidden' ? `forbidden ${qualifiedName(resource)}` : complaint;
    const known = this.#open.get(key);
    if (known !== undefined) {
      known.concerned.add(resource.plural);
      this.#log.debug?.(`${resource.plural}: ${failure.message}`, {
        retryInMs: Math.round(context.retryInMs),
      });
      return;
    }
    this.#open.set(key, { complaint, concerned: new Set([resource.plural]) });
    const meanwhile = context.isMissing
      ? 'No rule is written until they are known'
      : 'What is known stays in effect';
    this.#log.warn(`${complaint}. ${meanwhile}; Weir keeps trying`);
  }

  /** The resource can be read, whatever was said of it before. */
  healed(resource: Resource): void {
    for (const [key, { complaint, concerned }] of this.#open) {
      if (!concerned.delete(resource.plural) || concerned.size > 0) continue;
      this.#open.delete(key);
      this.#log.info(`over: ${complaint}`);
    }
  }

  /** Streaming lists do not work. Nothing that anybody has to see to: pages bring the same. */
  listsByPages({ message }: Failure): void {
    this.#log.info(
      `the API server did not stream a list to its end (${oneLine(message)}): Weir lists by pages, and tries a stream again in ten minutes or later`,
    );
  }

  /** The server does not know the field that is selected by. */
  selectsItself(resource: Resource, { message }: Failure): void {
    this.#log.info(
      `the API server can't select ${qualifiedName(resource)} by field, as from Kubernetes 1.31 on (${oneLine(message)}): Weir reads all of them and leaves out what it does not need`,
    );
  }

  /** A watch ended early, which is nothing to be said aloud. */
  broke(resource: Resource, { message }: Failure, retryInMs: number): void {
    this.#log.debug?.(`watch of ${resource.plural}: ${message}`, { retryInMs: Math.round(retryInMs) });
  }
}

function complaintOf(resource: Resource, failure: Failure, verb: 'list' | 'watch'): string {
  const name = qualifiedName(resource);
  const said = oneLine(failure.message);
  switch (failure.reason) {
    case 'forbidden':
      return `the ServiceAccount may not ${verb} ${name}: apply Weir's ClusterRole and its binding (the API server says: ${said})`;
    case 'unauthorized':
      return `the API server does not accept Weir's token or certificate (401): see that the ServiceAccount exists and its token is mounted, or what the kubeconfig says (${said})`;
    case 'credentials':
    case 'unreachable':
      return said;
    case 'not_found':
      return `the API server does not know ${name} (404): is it one of Kubernetes 1.31 or later?`;
    case 'throttled':
      return `the API server is busy and puts Weir off (429): ${said}`;
    case 'expired':
    case 'too_new':
    case 'invalid':
    case 'server_error':
    case 'answer':
    case 'short':
    case 'idle':
    case 'unmarked':
      return `can't ${verb} ${name}: ${said}`;
    case 'bug':
      return `a fault in Weir while reading ${name}: ${said}`;
  }
}

function oneLine(message: string): string {
  return message.trim().replace(/[.;\s]+$/, '');
}
