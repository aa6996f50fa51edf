import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { namespacePrefix } from './in-namespace.ts';

/** The words that start what `npm run build` made. */
export const builtProgram: readonly string[] = [
  process.execPath,
  fileURLToPath(new URL('../../dist/weir.js', import.meta.url)),
];
const lineTimeoutMs = 30_000;
const maxShownLines = 30;

/** How the process ended: an exit code, or the signal that ended it. */
export interface WeirExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The built program, running inside a network namespace. What it prints is kept, line by line, in order of arrival. */
export class WeirProcess {
  /** Standard output and standard error together. */
  readonly lines: string[] = [];
  readonly exited: Promise<WeirExit>;
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #listeners = new Set<() => void>();

  /**
   * `namespace` as in `NetworkNamespace.namespace`; `environment` is added to this process's own. `command` is what starts the
   * program, which has to become it (`exec`).
   */
  constructor(
    namespace: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    command: readonly string[] = builtProgram,
  ) {
    const [file, ...prefix] = namespacePrefix(namespace);
    this.#process = spawn(file, [...prefix, ...command, ...args], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        for (const listener of this.#listeners) listener();
      });
    }
    this.exited = new Promise((resolve, reject) => {
      this.#process.once('error', reject);
      // `close` comes after the last line, `exit` may not.
      this.#process.once('close', (code, signal) => resolve({ code, signal }));
    });
    // Whoever awaits `exited` hears of an error; nobody has to.
    this.exited.catch(() => undefined);
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error('weir did not start');
    return this.#process.pid;
  }

  /**
   * The first line that matches, of those already there from index `from` on, or else to come. Rejects when the process
   * ends or `timeoutMs` (default 30,000) passes without one.
   */
  async waitForLine(
    pattern: RegExp,
    options: { readonly from?: number; readonly timeoutMs?: number } = {},
  ): Promise<string> {
    let next = options.from ?? 0;
    const found = new Promise<string>((resolve) => {
      const look = (): void => {
        for (; next < this.lines.length; next += 1) {
          const line = this.lines[next] ?? '';
          if (!pattern.test(line)) continue;
          this.#listeners.delete(look);
          return resolve(line);
        }
      };
      this.#listeners.add(look);
      look();
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), options.timeoutMs ?? lineTimeoutMs);
    });
    const line = await Promise.race([found, this.exited.then(() => undefined), late]);
    clearTimeout(timer);
    if (line !== undefined) return line;
    throw new Error(`weir printed no line like ${String(pattern)}. Its last lines:\n${this.#lastLines()}`);
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** SIGTERM, then waits for the end. */
  async stop(): Promise<WeirExit> {
    this.signal('SIGTERM');
    return this.exited;
  }

  /** Without a chance to do anything. Also right for one that has ended already. */
  async kill(): Promise<WeirExit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  #lastLines(): string {
    return this.lines.slice(-maxShownLines).join('\n');
  }
}

/** Runs the program to its end, as for `plan` and `cleanup`. */
export async function runWeir(
  namespace: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<WeirExit & { readonly lines: readonly string[] }> {
  const weir = new WeirProcess(namespace, args, environment);
  const exit = await weir.exited;
  return { ...exit, lines: weir.lines };
}
