import type { Logger } from '../../pkg/log/index.ts';
import { type Clock, slept, WeirError } from '../../pkg/runtime/index.ts';
import {
  type BindAddress,
  type HttpHandler,
  type HttpListener,
  listenHttp,
  parseBindAddress,
} from './http-listener.ts';

export interface HttpServerOptions {
  /** For people: `health`, `metrics`. */
  readonly name: string;
  /** `1.2.3.4:10256` or `[::]:10256`. */
  readonly address: string;
  readonly handler: HttpHandler;
  readonly clock: Clock;
  readonly log: Logger;
  /** A port that can't be had ends the process; else it is tried again. */
  readonly hardFail: boolean;
  /** The first attempt failed: told once. */
  readonly onBindFailure?: (error: unknown) => void;
}

/** kube-proxy's. */
const retryMs = 5000;

/**
 * Serves until `stop`. Resolves when the first attempt to listen is over: with a server that listens, or one that goes on
 * trying every 5 s. Rejects with WEIR_PORT_TAKEN when `hardFail` is set, and with WEIR_BAD_FLAG for what is no address.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { name, address } = options;
  const bind = parseBindAddress(address);
  if (bind === undefined)
    throw new WeirError('WEIR_BAD_FLAG', `the ${name} server can not listen on ${JSON.stringify(address)}`);
  const server = new HttpServer(options, bind);
  await server.start();
  return server;
}

/** One port that is served, or will be as soon as it can be had. */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #address: BindAddress;
  readonly #stop = new AbortController();
  #listener: HttpListener | undefined;
  #retrying: Promise<void> | undefined;

  constructor(options: HttpServerOptions, address: BindAddress) {
    this.#options = options;
    this.#address = address;
  }

  /** Where it listens; `undefined` while the port is taken. */
  get port(): number | undefined {
    return this.#listener?.port;
  }

  async start(): Promise<void> {
    const { name, hardFail, log, onBindFailure } = this.#options;
    try {
      await this.#listen();
    } catch (error) {
      onBindFailure?.(error);
      if (hardFail) throw error;
      log.error(`no ${name} server yet; tried again every ${retryMs / 1000} s`, { error });
      this.#retrying = this.#retry();
    }
  }

  /** Closes the port and the connections. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    await this.#retrying;
    await this.#listener?.close();
    this.#listener = undefined;
  }

  async #listen(): Promise<void> {
    const { name, handler, log } = this.#options;
    const onError = (error: unknown): void =>
      log.error(`a request to the ${name} server could not be answered`, { error });
    this.#listener = await listenHttp(this.#address, handler, { onError });
  }

  async #retry(): Promise<void> {
    const { name, address, clock, log } = this.#options;
    while (this.#listener === undefined && (await slept(clock, retryMs, this.#stop.signal))) {
      try {
        await this.#listen();
        log.info(`the ${name} server listens on ${address} now`);
      } catch (error) {
        log.debug(`still no ${name} server`, { error });
      }
    }
  }
}
