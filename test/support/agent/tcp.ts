import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { failure, failureOf, plainAddress, reply } from './outcome.ts';
import {
  type ConnectRequest,
  defaultTimeoutMs,
  type Greeting,
  type ListenRequest,
  type Outcome,
} from './protocol.ts';

/** Greets every connection with its name, and answers each line with the same greeting and the text of the line. */
export class TcpListener {
  readonly #name: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(name: string) {
    this.#name = name;
    this.#server = createServer((socket) => this.#greet(socket));
  }

  async listen(request: ListenRequest): Promise<void> {
    this.#server.listen({ port: request.port, host: request.address ?? '::', backlog: 1024 });
    await once(this.#server, 'listening');
  }

  /** Sends an unasked message on every connection; returns their number. */
  push(text: string): number {
    for (const socket of this.#sockets) socket.write(this.#line(socket, text));
    return this.#sockets.size;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #greet(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // Clients end by a reset (see TcpFlow.close), so errors are the normal end here.
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true);
    socket.write(this.#line(socket, ''));
    onLines(socket, (text) => socket.write(this.#line(socket, text)));
  }

  #line(socket: Socket, text: string): string {
    const seenAddress = plainAddress(socket.remoteAddress);
    const greeting: Greeting = { name: this.#name, seenAddress, seenPort: socket.remotePort ?? 0, text };
    return `${JSON.stringify(greeting)}\n`;
  }
}

/** One connection from the client's side. */
export class TcpFlow {
  readonly #socket: Socket;
  #connected = false;
  #ended: ((startedAt: number) => Outcome) | undefined;
  #received = 0;
  #unread: string[] = [];
  #wake: () => void = () => undefined;

  constructor(request: ConnectRequest) {
    this.#socket = connect({
      host: request.address,
      port: request.port,
      noDelay: true,
      ...(request.sourceAddress === undefined ? {} : { localAddress: request.sourceAddress }),
      ...(request.sourcePort === undefined ? {} : { localPort: request.sourcePort }),
    });
    this.#socket.once('connect', () => {
      this.#connected = true;
    });
    this.#socket.on('error', (error) =>
      this.#end((startedAt) => failureOf(error, startedAt, this.#connected)),
    );
    this.#socket.on('end', () => this.#end((startedAt) => failure('closed', startedAt)));
    onLines(this.#socket, (line) => {
      this.#received += 1;
      this.#unread.push(line);
      this.#wake();
    });
  }

  get received(): number {
    return this.#received;
  }

  /** Waits for the greeting of the listener. */
  greeting(timeoutMs = defaultTimeoutMs): Promise<Outcome> {
    return this.#next(() => true, timeoutMs);
  }

  /** Sends a line and waits for its answer; messages that come in between are passed over. */
  exchange(text: string, timeoutMs = defaultTimeoutMs): Promise<Outcome> {
    this.#socket.write(`${text}\n`);
    return this.#next((line) => (JSON.parse(line) as Greeting).text === text, timeoutMs);
  }

  /** By a reset: nothing lingers in TIME_WAIT, and the source port is free at once. */
  close(): void {
    this.#end((startedAt) => failure('closed', startedAt));
    // A reset waits for a connect that is under way, and would keep the port for as long.
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  #end(outcome: (startedAt: number) => Outcome): void {
    this.#ended ??= outcome;
    this.#wake();
  }

  async #next(wanted: (line: string) => boolean, timeoutMs: number): Promise<Outcome> {
    const startedAt = performance.now();
    const patience = new AbortController();
    const timer = setTimeout(() => {
      patience.abort();
      this.#wake();
    }, timeoutMs);
    try {
      for (;;) {
        for (let line = this.#unread.shift(); line !== undefined; line = this.#unread.shift()) {
          if (wanted(line)) return reply(line, this.#socket.localPort ?? 0, startedAt);
        }
        if (this.#ended !== undefined) return this.#ended(startedAt);
        if (patience.signal.aborted) return failure('timeout', startedAt);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** `readline` would do, but it fails on its own when the socket does. */
function onLines(socket: Socket, take: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
}
