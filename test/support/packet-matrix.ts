import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Transport } from './agent/protocol.ts';
import type { NetworkNamespace } from './network-namespace.ts';

const script = fileURLToPath(new URL('packet-matrix.pl', import.meta.url));

/** One attempt to reach an address. */
export interface Attempt {
  /** Name of the machine that begins. */
  readonly from: string;
  readonly protocol: Transport;
  readonly address: string;
  readonly port: number;
  /** What is not expected to be answered is not waited for long. */
  readonly expected: Answer;
}

/** `refused`: the sender was told that it can not be, where the protocol tells. */
export type Answer = 'answered' | 'silence' | 'refused';

interface Patience {
  /** How long a forbidden answer is waited for after all others have come. */
  readonly graceMs: number;
  readonly timeoutMs: number;
}

const signs: Readonly<Record<string, Answer>> = { '+': 'answered', '-': 'silence', '!': 'refused' };
/** A TCP connection takes two file descriptors. */
const mostAtOnce = 500;
/** Above those that Weir listens on. */
const firstSourcePort = 11_000;
const lastSourcePort = 32_000;

/** Hundreds of connections between machines at once, with both ends of all in one small process. Needs `perl-raw`. */
export class PacketMatrix {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  #complaint = '';
  #sourcePort = firstSourcePort;

  constructor(machines: readonly NetworkNamespace[]) {
    this.#process = spawn('perl', [script], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.#process.stderr.on('data', (text: Buffer) => {
      this.#complaint += text.toString();
    });
    // Writing to a process that has ended: what it complained about says why.
    this.#process.stdin.on('error', () => undefined);
    for (const { name, namespace, addresses } of machines)
      this.#write(['machine', name, `/run/netns/${namespace}`, ...addresses]);
  }

  /** Every machine answers on this port. */
  listen(protocol: Transport, port: number): void {
    this.#write(['listen', protocol, port]);
  }

  /** Resolves when the process runs. */
  async ready(): Promise<void> {
    await this.#nextLine();
  }

  /** One result for each attempt, in their order. No two attempts may have the same ends, protocol and port. */
  async attempt(attempts: readonly Attempt[], patience: Patience): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    for (let start = 0; start < attempts.length; start += mostAtOnce)
      answers.push(...(await this.#round(attempts.slice(start, start + mostAtOnce), patience)));
    return answers;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    if (this.#process.exitCode === null && this.#process.signalCode === null) await ended;
  }

  async #round(attempts: readonly Attempt[], { graceMs, timeoutMs }: Patience): Promise<readonly Answer[]> {
    for (const { from, protocol, address, port, expected } of attempts)
      this.#write(['try', from, protocol, address, port, expected === 'answered' ? '+' : '-']);
    this.#write(['round', this.#freshSourcePort(), graceMs, timeoutMs]);
    const line = await this.#nextLine();
    return line.split('').map((sign) => signs[sign] ?? 'silence');
  }

  #freshSourcePort(): number {
    this.#sourcePort = this.#sourcePort >= lastSourcePort ? firstSourcePort : this.#sourcePort + 1;
    return this.#sourcePort;
  }

  #write(words: readonly (string | number)[]): void {
    this.#process.stdin.write(`${words.join(' ')}\n`);
  }

  async #nextLine(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`packet-matrix.pl has ended: ${this.#complaint}`);
    return next.value;
  }
}
