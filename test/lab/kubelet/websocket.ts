import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

const opcodes = { continuation: 0, binary: 2, close: 8, ping: 9, pong: 10 } as const;
/** From RFC 6455, section 1.3. */
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The server's side of a WebSocket connection. Whole messages come in, binary messages go out. */
export class WebSocketConnection {
  readonly #socket: Duplex;
  #pending: Buffer;
  #message: Buffer[] = [];
  #closed = false;
  onMessage: (message: Buffer) => void = () => {};
  onClose: () => void = () => {};

  /** Answers the upgrade. `head` is what came in behind the request. */
  constructor(request: IncomingMessage, socket: Duplex, head: Buffer, protocol: string) {
    this.#socket = socket;
    this.#pending = head;
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key'] ?? ''}${acceptSuffix}`)
      .digest('base64');
    const answer = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${accept}`,
      `Sec-WebSocket-Protocol: ${protocol}`,
    ];
    socket.write(`${answer.join('\r\n')}\r\n\r\n`);
    socket.on('data', (chunk: Buffer) => {
      this.#pending = Buffer.concat([this.#pending, chunk]);
      this.#read();
    });
    socket.once('close', () => this.#gone());
    socket.once('error', () => this.#gone());
    setImmediate(() => this.#read());
  }

  send(...parts: readonly Buffer[]): void {
    this.#write(opcodes.binary, Buffer.concat(parts));
  }

  close(): void {
    if (this.#closed) return;
    // 1000: all went well.
    this.#write(opcodes.close, Buffer.from([3, 232]));
    this.#socket.end();
  }

  #gone(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onClose();
  }

  #read(): void {
    for (;;) {
      const frame = readFrame(this.#pending);
      if (frame === undefined) return;
      this.#pending = frame.rest;
      this.#take(frame);
    }
  }

  #take({ opcode, final, payload }: Frame): void {
    switch (opcode) {
      case opcodes.close:
        this.#socket.end();
        this.#gone();
        return;
      case opcodes.ping:
        this.#write(opcodes.pong, payload);
        return;
      case opcodes.pong:
        return;
      default:
        this.#message.push(payload);
        if (!final) return;
        this.onMessage(Buffer.concat(this.#message));
        this.#message = [];
    }
  }

  #write(opcode: number, payload: Buffer): void {
    if (this.#closed || this.#socket.destroyed) return;
    this.#socket.write(Buffer.concat([frameHeader(opcode, payload.length), payload]));
  }
}

interface Frame {
  readonly opcode: number;
  readonly final: boolean;
  readonly payload: Buffer;
  readonly rest: Buffer;
}

/** The first frame of what has come in; undefined while it is not complete. A client masks all it sends. */
export function readFrame(data: Buffer): Frame | undefined {
  if (data.length < 2) return undefined;
  const first = data.readUInt8(0);
  const second = data.readUInt8(1);
  const masked = (second & 128) !== 0;
  const short = second & 127;
  const extra = { 126: 2, 127: 8 }[short] ?? 0;
  const start = 2 + extra + (masked ? 4 : 0);
  if (data.length < start) return undefined;
  const length = extra === 0 ? short : extra === 2 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
  if (data.length < start + length) return undefined;
  const payload = Buffer.from(data.subarray(start, start + length));
  if (masked) {
    const mask = data.subarray(start - 4, start);
    for (let index = 0; index < payload.length; index += 1) {
      payload[index] = (payload[index] ?? 0) ^ (mask[index % 4] ?? 0);
    }
  }
  return { opcode: first & 15, final: (first & 128) !== 0, payload, rest: data.subarray(start + length) };
}

/** Of an unmasked frame that is a message of its own. */
export function frameHeader(opcode: number, length: number): Buffer {
  const first = 128 | opcode;
  if (length < 126) return Buffer.from([first, length]);
  if (length < 65_536) {
    const header = Buffer.from([first, 126, 0, 0]);
    header.writeUInt16BE(length, 2);
    return header;
  }
  const header = Buffer.alloc(10);
  header.set([first, 127]);
  header.writeBigUInt64BE(BigInt(length), 2);
  return header;
}
