import type { ChildProcess } from 'node:child_process';
import { startInBackground } from './background-process.ts';

/**
 * The shell outlives the program by a moment and this process by another one: at the end of its input it kills the program, which can
 * not notice anything itself once it is stopped.
 */
const script = `"$@" </dev/null >/dev/null 2>&1 &
held=$!
trap '' PIPE
trap 'exit' HUP INT TERM
trap 'kill -KILL "$held" 2>/dev/null' EXIT
echo "$held"
read -r word && kill -STOP "$held" && echo stopped && read -r word`;

/**
 * A program that is started only for what it opens, a socket for example, and then stopped (SIGSTOP) with it: from there on it uses no
 * processor time. It ends with `end`, or when this process does. It alone keeps no process alive.
 */
export class HeldProgram {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** `shell` is a shell of POSIX. */
  constructor(file: string, args: readonly string[], shell = 'sh') {
    this.#process = startInBackground(shell, ['-c', script, shell, file, ...args], { stderr: 'ignore' });
    this.#process.once('error', () => undefined);
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Its process id, as soon as it runs; `undefined` where there is no shell. To be awaited before `stop`. */
  async started(): Promise<number | undefined> {
    const line = await this.#lines.next();
    return line.done === true ? undefined : Number(line.value);
  }

  /** Has it stopped by the kernel; whether it was still there. */
  async stop(): Promise<boolean> {
    this.#process.stdin?.write('stop\n');
    return (await this.#lines.next()).done !== true;
  }

  end(): void {
    this.#process.stdin?.end();
  }
}

async function* linesOf(stream: ChildProcess['stdout']): AsyncGenerator<string, undefined> {
  let rest = '';
  for await (const chunk of stream?.setEncoding('utf8') ?? []) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  return undefined;
}
