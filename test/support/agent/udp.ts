import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { failure, failureOf, plainAddress, reply } from './outcome.ts';
import {
  type ConnectRequest,
  defaultTimeoutMs,
  type Greeting,
  type ListenRequest,
  type Outcome,
} from './protocol.ts';

/** Answers every datagram with its name and the sender as it sees it. */
export class UdpListener {
  readonly #name: string;
  #sockets: readonly Socket[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  /**
   * A socket for each address beside the one for all: an answer must come from the address that was asked, and the
   * kernel would choose one by its own lights on a machine that has several.
   */
  async listen(request: ListenRequest): Promise<void> {
    const addresses = request.address === undefined ? ['::', ...ownAddresses()] : [request.address];
    this.#sockets = await Promise.all(addresses.map((address) => this.#bind(address, request.port)));
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }

  async #bind(address: string, port: number): Promise<Socket> {
    const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', reuseAddr: true });
    socket.on('message', (message, peer) =>
      socket.send(this.#answer(message, peer), peer.port, peer.address),
    );
    socket.bind(port, address);
    await once(socket, 'listening');
    // Errors that come back for an answer concern one client, not the listener.
    socket.on('error', () => undefined);
    return socket;
  }

  #answer(message: Buffer, peer: RemoteInfo): string {
    const seenAddress = plainAddress(peer.address);
    const greeting: Greeting = {
      name: this.#name,
      seenAddress,
      seenPort: peer.port,
      text: message.toString(),
    };
    return JSON.stringify(greeting);
  }
}

function ownAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.map((one) => one.address).filter((address) => !address.startsWith('fe80:'));
}

/** One client socket, and with it one source port, that sends to one place. Nothing is sent twice. */
export class UdpFlow {
  readonly #socket: Socket;
  readonly #connected: Promise<unknown>;
  readonly #waiting = new Map<string, (answer: string | NodeJS.ErrnoException | undefined) => void>();
  #received = 0;

  constructor(request: ConnectRequest) {
    this.#socket = createSocket(isIPv6(request.address) ? 'udp6' : 'udp4');
    this.#socket.bind(request.sourcePort ?? 0, request.sourceAddress);
    // A connected socket hears of ICMP errors.
    this.#connected = once(this.#socket, 'listening').then(() => {
      this.#socket.connect(request.port, request.address);
      return once(this.#socket, 'connect');
    });
    this.#socket.on('message', (message) => {
      this.#received += 1;
      this.#waiting.get((JSON.parse(message.toString()) as Greeting).text)?.(message.toString());
    });
    this.#socket.on('error', (error) => {
      for (const answer of this.#waiting.values()) answer(error);
    });
  }

  get received(): number {
    return this.#received;
  }

  async exchange(text: string, timeoutMs = defaultTimeoutMs): Promise<Outcome> {
    const startedAt = performance.now();
    try {
      await this.#connected;
    } catch (error) {
      return failureOf(error as NodeJS.ErrnoException, startedAt);
    }
    const answer = await new Promise<string | NodeJS.ErrnoException | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), timeoutMs);
      this.#waiting.set(text, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.#socket.send(text, (error) => {
        // EPERM (dropped on OUTPUT) stays silent here too, so that the time-out is one.
        if (error !== null && (error as NodeJS.ErrnoException).code !== 'EPERM')
          this.#waiting.get(text)?.(error);
      });
    });
    this.#waiting.delete(text);
    if (answer === undefined) return failure('timeout', startedAt);
    if (typeof answer !== 'string') return failureOf(answer, startedAt);
    return reply(answer, this.#socket.address().port, startedAt);
  }

  close(): void {
    this.#socket.close();
  }
}
