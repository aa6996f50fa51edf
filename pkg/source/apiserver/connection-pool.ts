import type { Socket } from 'node:net';
import type { Agent, buildConnector } from 'undici';
import type { ApiIdentity } from './credentials.ts';

/** The part of undici that is used; it is loaded only when there is an API server to talk to. */
export interface Undici {
  readonly Agent: typeof Agent;
  readonly buildConnector: typeof buildConnector;
}

const connectTimeoutMs = 10_000;

/** The kernel then probes ten times, once a second: a peer that is gone without a word is noticed after 25 s. */
const keepAliveProbesAfterMs = 15_000;

/** Shorter than any server or load balancer waits: a request on a connection that is just being closed fails. */
const idleConnectionMs = 30_000;

/**
 * Connections to one API server. All requests share them as long as they are made with the same certificates and
 * authorities; those of an earlier identity end when what runs on them ends.
 */
export class ConnectionPool {
  readonly #undici: Undici;
  readonly #sockets = new Set<Socket>();
  readonly #retired = new Set<Agent>();
  #agent: Agent | undefined;
  #key = '';
  #closed = false;

  constructor(undici: Undici) {
    this.#undici = undici;
  }

  /** What carries requests of this identity. */
  agentFor(identity: ApiIdentity): Agent {
    if (this.#agent !== undefined && this.#key === identity.connectionKey) return this.#agent;
    if (this.#agent !== undefined) this.#retire(this.#agent);
    this.#agent = this.#createAgent(identity);
    this.#key = identity.connectionKey;
    return this.#agent;
  }

  /** Ends all connections, those that are just being made too. */
  async close(): Promise<void> {
    this.#closed = true;
    const agents = [...this.#retired, ...(this.#agent === undefined ? [] : [this.#agent])];
    this.#agent = undefined;
    await Promise.all(agents.map((agent) => agent.destroy()));
    for (const socket of this.#sockets) socket.destroy();
  }

  #retire(agent: Agent): void {
    this.#retired.add(agent);
    void agent.close().finally(() => this.#retired.delete(agent));
  }

  #createAgent({ tls }: ApiIdentity): Agent {
    const connect = this.#undici.buildConnector({
      ...tls,
      allowH2: false,
      timeout: connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveProbesAfterMs,
    });
    return new this.#undici.Agent({
      allowH2: false,
      keepAliveTimeout: idleConnectionMs,
      keepAliveMaxTimeout: idleConnectionMs,
      connect: (options, callback) => {
        // It does return the socket, whatever its types say.
        const socket = connect(options, callback) as unknown as Socket;
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
        if (this.#closed) socket.destroy();
      },
    });
  }
}
