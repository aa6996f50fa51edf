import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { Family } from '../net/index.ts';
import { canaryPorts, loopback } from './canary-rules.ts';

/** Which tables hold the canary's rules, untouched since they were asked last. */
export interface CanarySong {
  readonly nat: boolean;
  readonly filter: boolean;
}

export const silence: CanarySong = { nat: false, filter: false };

/** Loopback delivers at once; a process that is busy may take a while to notice. */
const patienceMs = 250;

/**
 * Sends the canary's packets over one family's loopback interface. Each call is a connection of its own, since the kernel looks into its
 * nat rules for a connection's first packet only.
 */
export class Canary {
  readonly #family: Family;
  #sockets: { readonly call: Socket; readonly answer: Socket } | undefined;
  #calls = 0;

  constructor(family: Family) {
    this.#family = family;
  }

  /** To be called again when it has ended. Throws where the ports cannot be bound or no packet can be sent. */
  async sing(): Promise<CanarySong> {
    const { call, answer } = await this.#open();
    this.#calls += 1;
    const text = String(this.#calls);
    const caller = await this.#bound(0);
    try {
      const arrived = firstArrival([call, answer], text, caller.address().port);
      const toItself = await this.#sent(answer, text, canaryPorts.answer);
      // Where this is refused as well, something else may have refused the other.
      if ((await this.#sent(caller, text, canaryPorts.call)) === 'refused') return silence;
      return { nat: (await arrived) === answer, filter: toItself === 'refused' };
    } finally {
      caller.close();
    }
  }

  stop(): void {
    this.#sockets?.call.close();
    this.#sockets?.answer.close();
    this.#sockets = undefined;
  }

  async #open(): Promise<{ readonly call: Socket; readonly answer: Socket }> {
    if (this.#sockets !== undefined) return this.#sockets;
    // Nobody else may get what is sent to these, whatever the rules are.
    const call = await this.#bound(canaryPorts.call);
    try {
      this.#sockets = { call, answer: await this.#bound(canaryPorts.answer) };
      return this.#sockets;
    } catch (error) {
      call.close();
      throw error;
    }
  }

  #bound(port: number): Promise<Socket> {
    const socket = createSocket(this.#family === 'IPv4' ? 'udp4' : 'udp6');
    socket.unref();
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close();
        reject(error);
      });
      socket.bind({ port, address: loopback[this.#family], exclusive: true }, () => {
        // From here on an error says no more than that an answer does not come.
        socket.removeAllListeners('error').on('error', () => undefined);
        resolve(socket);
      });
    });
  }

  /** A packet that a rule drops on its way out is an error of the sender. */
  #sent(socket: Socket, text: string, port: number): Promise<'sent' | 'refused'> {
    return new Promise((resolve, reject) => {
      socket.send(text, port, loopback[this.#family], (error) => {
        if (error === null) resolve('sent');
        else if ((error as NodeJS.ErrnoException).code === 'EPERM') resolve('refused');
        else reject(error);
      });
    });
  }
}

/** Which of the sockets gets the text from this port first; `undefined` when none does in time. */
function firstArrival(
  sockets: readonly Socket[],
  text: string,
  fromPort: number,
): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const listeners = sockets.map((socket) => (message: Buffer, from: RemoteInfo): void => {
      if (from.port === fromPort && message.toString() === text) settle(socket);
    });
    const settle = (socket: Socket | undefined): void => {
      clearTimeout(timer);
      for (const [index, one] of sockets.entries()) one.off('message', listeners[index] ?? settle);
      resolve(socket);
    };
    for (const [index, socket] of sockets.entries()) socket.on('message', listeners[index] ?? settle);
    // What arrived while this process was busy is taken in before it counts as missing.
    const timer = setTimeout(() => setImmediate(() => settle(undefined)), patienceMs);
  });
}
