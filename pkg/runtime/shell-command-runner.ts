import { randomUUID } from 'node:crypto';
import PQueue from 'p-queue';
import type { Command, CommandResult, CommandRunner } from './command-runner.ts';
import { Shell, type ShellAnswer } from './shell.ts';
import { systemClock } from './system-clock.ts';

/** How sh says that it could not start a program. */
const spawnErrors: ReadonlyMap<number, string> = new Map([
  [126, 'EACCES'],
  [127, 'ENOENT'],
]);

/**
 * Starts programs from one small shell that stays, one after the other. To fork a process of a hundred megabytes takes that
 * process several milliseconds, in which it does nothing else; the shell needs a fraction of one, and none of ours. For small programs that
 * run all the time. Commands with input, and all of them where there is no shell, go to the other runner.
 */
export class ShellCommandRunner implements CommandRunner {
  readonly #direct: CommandRunner;
  readonly #program: string;
  readonly #queue = new PQueue({ concurrency: 1 });
  /** No output contains it by chance. */
  readonly #nonce = randomUUID();
  #commands = 0;
  #shell: Shell | undefined;
  #hasShell = true;

  /** `program` is a shell of POSIX. */
  constructor(direct: CommandRunner, program = 'sh') {
    this.#direct = direct;
    this.#program = program;
  }

  run(command: Command, signal?: AbortSignal): Promise<CommandResult> {
    if (command.input !== undefined) return this.#direct.run(command, signal);
    return this.#queue.add(() => this.#run(command, signal));
  }

  async #run(command: Command, signal: AbortSignal | undefined): Promise<CommandResult> {
    signal?.throwIfAborted();
    if (!this.#hasShell) return this.#direct.run(command, signal);
    const startedAt = systemClock.now();
    this.#shell ??= new Shell(this.#program);
    this.#commands += 1;
    const end = new AbortController();
    const giveUp = (): void => end.abort();
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      giveUp();
    }, command.timeoutMs);
    signal?.addEventListener('abort', giveUp);
    const mark = `${this.#nonce}-${this.#commands}`;
    const answer = await this.#shell.ask(shellCommand(command), { mark, signal: end.signal });
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp);
    if (answer.kind !== 'ended' || end.signal.aborted) this.#shell = undefined;
    signal?.throwIfAborted();
    if (answer.kind === 'no shell') {
      this.#hasShell = false;
      return this.#direct.run(command);
    }
    return resultOf(answer, { timedOut, durationMs: systemClock.now() - startedAt });
  }
}

function resultOf(
  answer: Exclude<ShellAnswer, { kind: 'no shell' }>,
  { timedOut, durationMs }: Pick<CommandResult, 'timedOut' | 'durationMs'>,
): CommandResult {
  if (answer.kind === 'killed')
    return { exitCode: undefined, stdout: '', stderr: answer.stderr, timedOut, durationMs };
  const { exitCode, stdout, stderr } = answer;
  const spawnError = spawnErrors.get(exitCode);
  if (spawnError === undefined) return { exitCode, stdout, stderr, timedOut: false, durationMs };
  return { exitCode: undefined, stdout, stderr, timedOut: false, durationMs, spawnError };
}

function shellCommand({ file, args, captureOutput = false }: Command): string {
  const words = [file, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return `${words.join(' ')} </dev/null${captureOutput ? '' : ' >/dev/null'}`;
}
