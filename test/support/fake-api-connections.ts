import type { Server, Socket } from 'node:net';

/** The connections of a server, and what can go wrong with all of them at once. */
export class FakeApiConnections {
  readonly #sockets = new Map<Socket, number>();
  readonly #unread = new Set<Socket>();
  #silence: { readonly over: Promise<void>; readonly end: () => void } | undefined;
  #accepted = 0;

  constructor(server: Server) {
    // The server's own listeners begin to read, so a connection that nobody reads must not reach them.
    const listeners = server.listeners('connection') as ((this: Server, socket: Socket) => void)[];
    server.removeAllListeners('connection');
    server.on('connection', (socket) => {
      this.#accepted += 1;
      this.#sockets.set(socket, this.#accepted);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.#unread.delete(socket);
      });
      socket.on('error', () => {});
      if (this.#silence === undefined) {
        for (const listener of listeners) listener.call(server, socket);
      } else {
        this.#unread.add(socket);
      }
    });
  }

  get accepted(): number {
    return this.#accepted;
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** Which connection a request came on: they count from 1. */
  numberOf(port: number | undefined): number {
    for (const [socket, number] of this.#sockets) if (socket.remotePort === port) return number;
    return 0;
  }

  fallSilent(): void {
    if (this.#silence !== undefined) return;
    let end = (): void => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#silence = { over, end };
  }

  speak(): void {
    this.#silence?.end();
    this.#silence = undefined;
    for (const socket of this.#unread) socket.resetAndDestroy();
  }

  /** Resolves when the server may speak. */
  async mayWrite(): Promise<void> {
    while (this.#silence !== undefined) await this.#silence.over;
  }

  resetAll(): void {
    for (const socket of this.#sockets.keys()) socket.resetAndDestroy();
  }
}
