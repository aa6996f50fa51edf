import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** What goes wrong with the body of an answer. Bytes count from its beginning. */
export type BodyFault =
  /** The connection is reset in the middle. */
  | { readonly effect: 'reset'; readonly afterBytes: number }
  /** It ends in good order, but too early: half a line. */
  | { readonly effect: 'cut'; readonly afterBytes: number }
  /** Nothing more comes, and nothing ends. */
  | { readonly effect: 'hang'; readonly afterBytes: number }
  | { readonly effect: 'slow'; readonly bytes: number; readonly everyMs: number }
  /** It begins with a line that is no JSON. */
  | { readonly effect: 'garbage' };

export const garbage = Buffer.from('{"type":"MODIFIED","object":{"metadata":{"name":}}\n');

/** The body of an answer on its way, with what goes wrong with it. Writing waits for the reader. */
export class FakeApiBody {
  readonly #response: ServerResponse;
  readonly #fault: BodyFault | undefined;
  /** Resolves when the server may speak. */
  readonly #mayWrite: () => Promise<void>;
  #written = 0;
  #hung = false;

  constructor(response: ServerResponse, fault: BodyFault | undefined, mayWrite: () => Promise<void>) {
    this.#response = response;
    this.#fault = fault;
    this.#mayWrite = mayWrite;
  }

  /** Whether there is still somebody to write to. */
  get open(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded && !this.#hung;
  }

  async write(chunk: Buffer): Promise<void> {
    const fault = this.#fault;
    if (fault?.effect === 'slow') {
      for (let at = 0; at < chunk.length && this.open; at += fault.bytes) {
        await this.#send(chunk.subarray(at, at + fault.bytes));
        await delay(fault.everyMs);
      }
      return;
    }
    if (fault?.effect === 'garbage' && this.#written === 0) await this.#send(garbage);
    const limit = fault !== undefined && 'afterBytes' in fault ? fault.afterBytes - this.#written : Infinity;
    await this.#send(chunk.length > limit ? chunk.subarray(0, limit) : chunk);
    if (chunk.length >= limit) this.#goWrong(fault);
  }

  end(): void {
    if (this.open) this.#response.end();
  }

  reset(): void {
    this.#response.socket?.resetAndDestroy();
  }

  hang(): void {
    this.#hung = true;
  }

  #goWrong(fault: BodyFault | undefined): void {
    if (fault?.effect === 'reset') this.reset();
    else if (fault?.effect === 'cut') this.end();
    else this.hang();
  }

  async #send(chunk: Buffer): Promise<void> {
    await this.#mayWrite();
    if (!this.open) return;
    this.#written += chunk.length;
    // Until the kernel has it: a reset throws away what it has not. A reader that has gone never takes it.
    await new Promise<void>((resolve) => {
      this.#response.once('close', resolve);
      this.#response.write(chunk, () => {
        this.#response.off('close', resolve);
        resolve();
      });
    });
  }
}
