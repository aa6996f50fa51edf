/** What a test asks of the agent in a network namespace, and what it answers. One JSON text a line, both ways. */

export type Transport = 'tcp' | 'udp' | 'sctp';

export interface ListenRequest {
  readonly protocol: Transport;
  readonly port: number;
  /** One local address instead of all (TCP and UDP). */
  readonly address?: string;
}

export interface ConnectRequest {
  readonly protocol: Transport;
  readonly address: string;
  readonly port: number;
  /** Default 3,000: a TCP client sees an IPv6 REJECT only after its first SYN retry, one second later. */
  readonly timeoutMs?: number;
  /** TCP and UDP. */
  readonly sourceAddress?: string;
  readonly sourcePort?: number;
}

/** How an attempt to reach someone ended. `milliseconds` from the start of the attempt. */
export type Outcome = Reply | Failure;

export interface Reply {
  readonly kind: 'reply';
  /** Who answered. */
  readonly name: string;
  /** The client as the one who answered saw it: differs from its own address where it was masqueraded. */
  readonly seenAddress: string;
  readonly seenPort: number;
  /** The text that was sent, where the protocol carries one. */
  readonly text: string;
  readonly localPort: number;
  readonly milliseconds: number;
}

export interface Failure {
  /**
   * `refused`: TCP reset, SCTP abort or ICMP port unreachable before a connection was there. `reset`: an established
   * connection was reset. `unreachable`: another ICMP error or no route. `timeout`: silence, also when the local
   * OUTPUT chain dropped the packet. `closed`: the other side ended the connection in order. `failed`: all else.
   */
  readonly kind: 'refused' | 'reset' | 'unreachable' | 'timeout' | 'closed' | 'failed';
  /** The system's error code, if there was one. */
  readonly detail: string;
  readonly milliseconds: number;
}

export interface BurstRequest extends ConnectRequest {
  readonly count: number;
  /** How many attempts may be under way at once; default 32. */
  readonly concurrency?: number;
}

export interface BurstResult {
  /** Replies by the name of who answered. */
  readonly replies: Readonly<Record<string, number>>;
  /** Failures by kind. */
  readonly failures: Readonly<Record<string, number>>;
  /** Every client address that someone saw, sorted. */
  readonly seenAddresses: readonly string[];
}

export interface ProbeRequest extends ConnectRequest {
  /** A new attempt starts this often, whether or not the one before has ended. */
  readonly everyMs: number;
}

export interface ProbeReport extends BurstResult {
  readonly attempts: number;
  /** Each time the outcome differs from that of the attempt before; at most the first 1,000. Times as `Date.now()`. */
  readonly changes: readonly ProbeChange[];
}

export interface ProbeChange {
  readonly startedAt: number;
  readonly endedAt: number;
  /** The name of who answered, or the kind of failure. */
  readonly result: string;
}

export interface Flow {
  readonly flow: number;
  readonly outcome: Outcome;
}

/** Name of an operation → its request and its result. */
export interface Operations {
  /** Answers as soon as the agent runs. */
  hello: [null, null];
  listen: [ListenRequest, null];
  /** Stops listening and resets every connection that came in on this port. */
  unlisten: [ListenRequest, null];
  connect: [ConnectRequest, Outcome];
  burst: [BurstRequest, BurstResult];
  startProbe: [ProbeRequest, number];
  /** Attempts under way are waited for. */
  stopProbe: [number, ProbeReport];
  /** Connects (TCP) or keeps one socket (UDP), to be used by `exchange` until `closeFlow`. */
  openFlow: [ConnectRequest, Flow];
  exchange: [{ readonly flow: number; readonly text: string; readonly timeoutMs?: number }, Outcome];
  /** How many messages have arrived on the flow, asked for or not. */
  received: [number, number];
  closeFlow: [number, null];
  /** The listening side sends `text` on every TCP connection of this port; the result is their number. */
  push: [{ readonly port: number; readonly text: string }, number];
}

export type OperationName = keyof Operations;
export type RequestOf<Name extends OperationName> = Operations[Name][0];
export type ResultOf<Name extends OperationName> = Operations[Name][1];

/** Answer of a listener, as it goes over the wire. */
export interface Greeting {
  readonly name: string;
  readonly seenAddress: string;
  readonly seenPort: number;
  readonly text: string;
}

export const defaultTimeoutMs = 3000;
