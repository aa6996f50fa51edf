import { Probe, tally } from './probe.ts';
import type {
  BurstRequest,
  BurstResult,
  ConnectRequest,
  Flow,
  ListenRequest,
  OperationName,
  Operations,
  Outcome,
  RequestOf,
  ResultOf,
} from './protocol.ts';
import { SctpEndpoint } from './sctp.ts';
import { TcpFlow, TcpListener } from './tcp.ts';
import { UdpFlow, UdpListener } from './udp.ts';

type Handlers = {
  [Name in OperationName]: (request: RequestOf<Name>) => ResultOf<Name> | Promise<ResultOf<Name>>;
};

const defaultConcurrency = 32;

/** All that a pod of a test can do on the network. */
export class Agent {
  readonly #name: string;
  readonly #sctp: SctpEndpoint;
  /** By protocol, address and port. */
  readonly #tcp = new Map<string, TcpListener>();
  readonly #udp = new Map<string, UdpListener>();
  readonly #flows = new Map<number, TcpFlow | UdpFlow>();
  readonly #probes = new Map<number, Probe>();
  #lastId = 0;

  readonly #handlers: Handlers = {
    hello: () => null,
    listen: (request) => this.#listen(request),
    unlisten: (request) => this.#unlisten(request),
    connect: (request) => this.#connect(request),
    burst: (request) => this.#burst(request),
    startProbe: (request) => {
      const id = this.#newId();
      this.#probes.set(id, new Probe(request.everyMs, () => this.#connect(request)));
      return id;
    },
    stopProbe: (id) => {
      const probe = find(this.#probes, id);
      this.#probes.delete(id);
      return probe.stop();
    },
    openFlow: (request) => this.#openFlow(request),
    exchange: (request) => find(this.#flows, request.flow).exchange(request.text, request.timeoutMs),
    received: (flow) => find(this.#flows, flow).received,
    closeFlow: (flow) => {
      find(this.#flows, flow).close();
      this.#flows.delete(flow);
      return null;
    },
    push: ({ port, text }) => find(this.#tcp, key({ protocol: 'tcp', port })).push(text),
  };

  constructor(name: string) {
    this.#name = name;
    this.#sctp = new SctpEndpoint(name);
  }

  /** Rejects when the operation itself was impossible (port taken, unknown flow); a failed connection is a result. */
  async perform<Name extends OperationName>(
    name: Name,
    request: Operations[Name][0],
  ): Promise<Operations[Name][1]> {
    return this.#handlers[name](request);
  }

  async #listen(request: ListenRequest): Promise<null> {
    if (request.protocol === 'sctp') {
      await this.#sctp.listen(request.port);
      return null;
    }
    const listener = request.protocol === 'tcp' ? new TcpListener(this.#name) : new UdpListener(this.#name);
    await listener.listen(request);
    if (listener instanceof TcpListener) this.#tcp.set(key(request), listener);
    else this.#udp.set(key(request), listener);
    return null;
  }

  #unlisten(request: ListenRequest): null {
    if (request.protocol === 'sctp') {
      this.#sctp.unlisten(request.port);
      return null;
    }
    const listeners = request.protocol === 'tcp' ? this.#tcp : this.#udp;
    find<string, TcpListener | UdpListener>(listeners, key(request)).close();
    listeners.delete(key(request));
    return null;
  }

  async #connect(request: ConnectRequest): Promise<Outcome> {
    if (request.protocol === 'sctp') return this.#sctp.connect(request);
    const { flow, outcome } = await this.#openFlow(request);
    if (outcome.kind === 'reply') {
      find(this.#flows, flow).close();
      this.#flows.delete(flow);
    }
    return outcome;
  }

  async #openFlow(request: ConnectRequest): Promise<Flow> {
    const id = this.#newId();
    let flow: TcpFlow | UdpFlow;
    let outcome: Outcome;
    switch (request.protocol) {
      case 'tcp':
        flow = new TcpFlow(request);
        outcome = await flow.greeting(request.timeoutMs);
        break;
      case 'udp':
        flow = new UdpFlow(request);
        outcome = await flow.exchange('hello', request.timeoutMs);
        break;
      case 'sctp':
        throw new Error('SCTP has no flows here, only connect');
    }
    if (outcome.kind === 'reply') this.#flows.set(id, flow);
    else flow.close();
    return { flow: id, outcome };
  }

  async #burst(request: BurstRequest): Promise<BurstResult> {
    const outcomes: Outcome[] = [];
    let started = 0;
    const worker = async (): Promise<void> => {
      while (started < request.count) {
        started += 1;
        outcomes.push(await this.#connect(request));
      }
    };
    const concurrency = Math.min(request.concurrency ?? defaultConcurrency, request.count);
    await Promise.all(Array.from({ length: concurrency }, worker));
    return tally(outcomes);
  }

  #newId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}

function key(request: ListenRequest): string {
  return `${request.address ?? '*'} ${request.port}`;
}

function find<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = map.get(key);
  if (value === undefined) throw new Error(`nothing here is called ${String(key)}`);
  return value;
}
