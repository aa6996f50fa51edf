import type { BodyFault } from './fake-api-body.ts';
import type { Resource } from './fake-api-resources.ts';
import type { StatusAnswer } from './fake-api-status.ts';

export type FakeApiVerb = 'GET' | 'LIST' | 'WATCH' | 'POST' | 'PATCH';

/** Which requests a fault befalls. */
interface Befalls {
  /** All kinds unless told. */
  readonly on?: Resource;
  /** All verbs unless told. */
  readonly verb?: FakeApiVerb;
  /** Only requests for a streaming list, or all but those; both unless told. */
  readonly streaming?: boolean;
  /** How many requests; all until `clearFaults` unless told. */
  readonly times?: number;
  /** How many matching requests go well before. */
  readonly after?: number;
}

export type FaultEffect =
  | BodyFault
  /** The request is taken and never answered. */
  | { readonly effect: 'stall' }
  /** The connection is reset instead of an answer. */
  | { readonly effect: 'no-answer' }
  /** A Status object is the answer; a plain text when `body` says so. */
  | {
      readonly effect: 'status';
      readonly code: number;
      readonly reason?: string;
      readonly message?: string;
      /** The header, in seconds or as a date. */
      readonly retryAfter?: string;
      readonly body?: string;
    }
  /** A watch that begins well tells an ERROR event before anything else, and ends. */
  | ({ readonly effect: 'error-event' } & StatusAnswer);

export type Fault = FaultEffect & Befalls;

/** The faults a test has ordered. */
export class FakeApiFaults {
  #faults: { readonly fault: Fault; left: number; spared: number }[] = [];

  add(fault: Fault): void {
    this.#faults.push({ fault, left: fault.times ?? Infinity, spared: fault.after ?? 0 });
  }

  clear(): void {
    this.#faults = [];
  }

  /** What befalls this request; the oldest order that fits counts. */
  take(resource: Resource | undefined, verb: FakeApiVerb, isStreaming: boolean): FaultEffect | undefined {
    for (const order of this.#faults) {
      const { on, verb: only, streaming } = order.fault;
      if (order.left === 0 || (on !== undefined && on !== resource)) continue;
      if (only !== undefined && only !== verb) continue;
      if (streaming !== undefined && streaming !== isStreaming) continue;
      if (order.spared > 0) {
        order.spared -= 1;
        continue;
      }
      order.left -= 1;
      return order.fault;
    }
    return undefined;
  }
}
