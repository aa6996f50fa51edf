import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { failure, failureOf, reply } from './outcome.ts';
import {
  type ConnectRequest,
  defaultTimeoutMs,
  type Failure,
  type Greeting,
  type Outcome,
} from './protocol.ts';
import { decodeSctp, encodeSctp, newTag, type SctpPacket } from './sctp-packet.ts';

const relayScript = fileURLToPath(new URL('raw-relay.pl', import.meta.url));
const ipv6HeaderLength = 40;
const icmpHeaderLength = 8;

type Signal =
  | { readonly kind: 'answer'; readonly text: string }
  | { readonly kind: 'failure'; readonly code: string };

interface Attempt {
  readonly address: string;
  readonly tag: number;
  readonly settle: (signal: Signal) => void;
}

/** SCTP for one namespace: answers INIT on chosen ports with INIT ACK, on all others with ABORT, and sends INIT. */
export class SctpEndpoint {
  readonly #name: string;
  readonly #ports = new Set<number>();
  /** By source port. */
  readonly #attempts = new Map<number, Attempt>();
  #relay: Promise<ChildProcessByStdio<Writable, Readable, null>> | undefined;
  #nextPort = 20_000 + Math.floor(Math.random() * 10_000);

  constructor(name: string) {
    this.#name = name;
  }

  async listen(port: number): Promise<void> {
    this.#ports.add(port);
    await this.#ready();
  }

  unlisten(port: number): void {
    this.#ports.delete(port);
  }

  /** One INIT, never repeated. */
  async connect(request: ConnectRequest): Promise<Outcome> {
    await this.#ready();
    const startedAt = performance.now();
    const sourcePort = request.sourcePort ?? this.#freePort();
    const tag = newTag();
    let timer: NodeJS.Timeout | undefined;
    const signal = await new Promise<Signal>((settle) => {
      timer = setTimeout(
        () => settle({ kind: 'failure', code: 'ETIMEDOUT' }),
        request.timeoutMs ?? defaultTimeoutMs,
      );
      this.#attempts.set(sourcePort, { address: request.address, tag, settle });
      void this.#send(request.address, { kind: 'init', sourcePort, destinationPort: request.port, tag });
    });
    clearTimeout(timer);
    this.#attempts.delete(sourcePort);
    if (signal.kind === 'answer') return reply(signal.text, sourcePort, startedAt);
    return failureFrom(signal.code, startedAt);
  }

  #freePort(): number {
    do this.#nextPort = this.#nextPort >= 32_000 ? 20_000 : this.#nextPort + 1;
    while (this.#attempts.has(this.#nextPort) || this.#ports.has(this.#nextPort));
    return this.#nextPort;
  }

  #ready(): Promise<ChildProcessByStdio<Writable, Readable, null>> {
    this.#relay ??= this.#startRelay();
    return this.#relay;
  }

  async #startRelay(): Promise<ChildProcessByStdio<Writable, Readable, null>> {
    const relay = spawn('perl', [relayScript], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: relay.stdout });
    await once(lines, 'line');
    lines.on('line', (line) => {
      const [kind = '', address = '', rest = ''] = line.split(' ');
      if (kind === 'error') this.#sendFailed(address, rest);
      else this.#receive(kind, address, Buffer.from(rest, 'hex'));
    });
    return relay;
  }

  async #send(address: string, packet: SctpPacket): Promise<void> {
    const relay = await this.#ready();
    relay.stdin.write(`${address} ${encodeSctp(packet).toString('hex')}\n`);
  }

  #sendFailed(address: string, code: string): void {
    // EPERM: dropped on OUTPUT. The attempt stays, and times out as it does for TCP.
    if (code === 'EPERM') return;
    for (const attempt of this.#attempts.values()) {
      if (attempt.address === address) attempt.settle({ kind: 'failure', code });
    }
  }

  #receive(kind: string, address: string, bytes: Buffer): void {
    switch (kind) {
      case 'sctp4':
        return this.#receiveSctp(address, withoutIPv4Header(bytes));
      case 'sctp6':
        return this.#receiveSctp(address, bytes);
      case 'icmp4':
        return this.#receiveIcmp(withoutIPv4Header(bytes), 4);
      case 'icmp6':
        return this.#receiveIcmp(bytes, 6);
    }
  }

  #receiveSctp(address: string, bytes: Buffer): void {
    const packet = decodeSctp(bytes);
    if (packet === undefined) return;
    const ports = { sourcePort: packet.destinationPort, destinationPort: packet.sourcePort };
    if (packet.kind === 'init') {
      if (!this.#ports.has(packet.destinationPort)) {
        return void this.#send(address, { kind: 'abort', ...ports, verificationTag: packet.tag });
      }
      const greeting: Greeting = {
        name: this.#name,
        seenAddress: address,
        seenPort: packet.sourcePort,
        text: '',
      };
      const text = JSON.stringify(greeting);
      return void this.#send(address, {
        kind: 'init-ack',
        ...ports,
        verificationTag: packet.tag,
        tag: newTag(),
        text,
      });
    }
    const attempt = this.#attempts.get(packet.destinationPort);
    if (attempt === undefined || attempt.tag !== packet.verificationTag) return;
    if (packet.kind === 'abort') return attempt.settle({ kind: 'failure', code: 'ECONNREFUSED' });
    attempt.settle({ kind: 'answer', text: packet.text });
    // Lets connection tracking forget the half-made association.
    void this.#send(address, { kind: 'abort', ...ports, verificationTag: packet.tag });
  }

  /** An error quotes the packet that caused it: its IP header and at least the first eight bytes behind that. */
  #receiveIcmp(bytes: Buffer, family: 4 | 6): void {
    const [type, code] = bytes;
    const quoted = bytes.subarray(icmpHeaderLength);
    const isSctp = family === 4 ? quoted[9] === 132 : quoted[6] === 132;
    const headerLength = family === 4 ? ((quoted[0] ?? 0) & 15) * 4 : ipv6HeaderLength;
    if (type !== (family === 4 ? 3 : 1) || !isSctp || quoted.length < headerLength + 8) return;
    const portUnreachable = code === (family === 4 ? 3 : 4) || (family === 4 && code === 2);
    const sourcePort = quoted.readUInt16BE(headerLength);
    const attempt = this.#attempts.get(sourcePort);
    attempt?.settle({ kind: 'failure', code: portUnreachable ? 'ECONNREFUSED' : 'EHOSTUNREACH' });
  }
}

function withoutIPv4Header(bytes: Buffer): Buffer {
  return bytes.subarray(((bytes[0] ?? 0) & 15) * 4);
}

function failureFrom(code: string, startedAt: number): Failure {
  return code === 'ETIMEDOUT'
    ? failure('timeout', startedAt)
    : failureOf({ code } as NodeJS.ErrnoException, startedAt);
}
