import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { startInBackground } from './background-process.ts';
import { maxStderr, maxStdout } from './command-runner.ts';

export type ShellAnswer =
  | {
      readonly kind: 'ended';
      readonly exitCode: number;
      readonly stdout: string;
      /** At most 64 KiB; the rest is dropped. */
      readonly stderr: string;
    }
  /** The shell ended before the command did, whoever killed it. It answers nothing from then on. */
  | { readonly kind: 'killed'; readonly stderr: string }
  | { readonly kind: 'no shell' };

/**
 * A `sh` that waits for commands; it ends when it is killed or when this process does. It alone keeps no process alive, and what
 * runs in it is a group of its own.
 */
export class Shell {
  readonly #process: ChildProcess;
  /** Why it can't be asked any more. */
  #end: 'killed' | 'no shell' | undefined;

  constructor(program: string) {
    this.#process = startInBackground(program, [], { stderr: 'pipe' });
    this.#process.once('error', () => {
      this.#end = 'no shell';
    });
    this.#process.once('exit', () => {
      this.#end ??= 'killed';
    });
  }

  /**
   * Runs one command, in the words of sh; the mark shows where its output ends. To be called again when it is answered. The signal kills
   * the shell with all that runs in it.
   */
  ask(
    command: string,
    { mark, signal }: { readonly mark: string; readonly signal: AbortSignal },
  ): Promise<ShellAnswer> {
    const { stdin, stdout, stderr } = this.#process;
    const kill = (): void => this.#kill();
    return new Promise((resolve) => {
      const outputs = [outputOf(stdout, mark, maxStdout), outputOf(stderr, mark, maxStderr)] as const;
      const settle = (answer: ShellAnswer): void => {
        for (const output of outputs) output.stop();
        signal.removeEventListener('abort', kill);
        this.#process.off('exit', onEnd).off('error', onEnd);
        if (answer.kind !== 'ended') this.#kill();
        resolve(answer);
      };
      const onEnd = (): void =>
        settle(
          this.#end === 'no shell' ? { kind: 'no shell' } : { kind: 'killed', stderr: outputs[1].text() },
        );
      this.#process.once('exit', onEnd).once('error', onEnd);
      signal.addEventListener('abort', kill);
      if (this.#end !== undefined) onEnd();
      const [out, err] = outputs;
      void Promise.all([out.exitCode, err.exitCode]).then(([exitCode]) =>
        settle(
          out.isCut()
            ? { kind: 'killed', stderr: 'too much output' }
            : { kind: 'ended', exitCode, stdout: out.text(), stderr: err.text() },
        ),
      );
      const say = `printf '\\n${mark} %s\\n' "$status"`;
      stdin?.write(`${command}; status=$?; ${say}; ${say} >&2\n`);
    });
  }

  #kill(): void {
    const { pid } = this.#process;
    if (pid === undefined || this.#end !== undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It was gone already.
    }
  }
}

interface Output {
  /** When the mark has come. */
  readonly exitCode: Promise<number>;
  /** Without the mark. */
  text(): string;
  isCut(): boolean;
  stop(): void;
}

/**
 * What a command prints, up to `\nMARK CODE\n`; of more than `limit` characters the beginning. Without regular expressions: each mark would
 * be one to compile, and there are commands all the time.
 */
function outputOf(stream: Readable | null, mark: string, limit: number): Output {
  const chunks: string[] = [];
  const start = `\n${mark} `;
  const longestEnding = start.length + maxCodeLength + 1;
  let length = 0;
  let tail = '';
  let markLength = 0;
  const { promise, resolve } = Promise.withResolvers<number>();
  const take = (chunk: string): void => {
    if (length < limit) chunks.push(chunk);
    length += chunk.length;
    tail = chunk.length < longestEnding ? (tail + chunk).slice(-longestEnding) : chunk.slice(-longestEnding);
    const at = tail.endsWith('\n') ? tail.lastIndexOf(start) : -1;
    if (at === -1) return;
    markLength = tail.length - at;
    resolve(Number(tail.slice(at + start.length, -1)));
  };
  stream?.setEncoding('utf8').on('data', take);
  return {
    exitCode: promise,
    text: () => chunks.join('').slice(0, Math.min(limit, length - markLength)),
    isCut: () => length - markLength > limit,
    stop: () => stream?.off('data', take),
  };
}

/** Of an exit code. */
const maxCodeLength = 3;
