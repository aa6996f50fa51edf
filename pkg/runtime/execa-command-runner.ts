import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import {
  type Command,
  type CommandResult,
  type CommandRunner,
  maxStderr,
  maxStdout,
} from './command-runner.ts';
import { programEnvironment } from './program-environment.ts';
import { systemClock } from './system-clock.ts';

export interface CommandRunnerOptions {
  /** Where programs are looked for; the usual system folders unless told. */
  readonly path?: string;
  /** A program was started; that held everything else up for so many seconds. */
  readonly onSpawn?: (file: string, seconds: number) => void;
}

const killDelayMs = 1000;
/** After the process is gone its pipes may be held open by a child of its own: this long we wait for them. */
const pipeGraceMs = 500;
/** In several short waits: a loop that was busy for a second has used up one of them, and reads the pipe before the next. */
const pipeGraceWaits = 10;
/** After SIGKILL a process may still sit in the kernel. We give up waiting, not the process. */
const abandonMs = 3000;
const writeSize = 64 * 1024;

/** Programs through execa, with a minimal environment. */
export function createCommandRunner(options: CommandRunnerOptions = {}): CommandRunner {
  const env = programEnvironment(options.path);
  const onSpawn = options.onSpawn ?? (() => undefined);
  return { run: (command, signal) => runCommand(command, { env, onSpawn }, signal) };
}

async function runCommand(
  command: Command,
  {
    env,
    onSpawn,
  }: { env: Readonly<Record<string, string>>; onSpawn: (file: string, seconds: number) => void },
  signal: AbortSignal | undefined,
): Promise<CommandResult> {
  signal?.throwIfAborted();
  const startedAt = systemClock.now();
  const child = execa(command.file, command.args, {
    env,
    extendEnv: false,
    reject: false,
    stdin: stdinOf(command.input),
    stdout: command.captureOutput === true ? 'pipe' : 'ignore',
    stderr: 'pipe',
    // execa kills a process that says more than maxBuffer; a talkative restore must not die of it, so stderr is ours.
    buffer: { stdout: true, stderr: false },
    maxBuffer: { stdout: maxStdout },
    stripFinalNewline: false,
    timeout: command.timeoutMs,
    forceKillAfterDelay: killDelayMs,
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  });
  onSpawn(command.file, (systemClock.now() - startedAt) / 1000);
  const stderr = collect(child.stderr);
  const settled = new AbortController();
  const result = await Promise.race([
    child,
    giveUp(child.nodeChildProcess, command.timeoutMs, settled.signal, signal),
  ]);
  settled.abort();
  if (result === undefined ? signal?.aborted === true : result.isCanceled) throw signal?.reason as Error;

  const durationMs = systemClock.now() - startedAt;
  if (result === undefined) {
    const exitCode = child.nodeChildProcess.exitCode ?? undefined;
    // Output that was cut off must never pass for a kernel that holds nothing.
    const timedOut = exitCode === undefined || command.captureOutput === true;
    return { exitCode, stdout: '', stderr: stderr(), timedOut, durationMs };
  }
  const spawnError =
    result.exitCode === undefined && !result.isTerminated && !result.timedOut ? result.code : undefined;
  return {
    exitCode: result.isMaxBuffer ? undefined : result.exitCode,
    stdout: typeof result.stdout === 'string' ? result.stdout : '',
    stderr: stderr(),
    timedOut: result.timedOut,
    durationMs,
    ...(spawnError === undefined ? {} : { spawnError }),
  };
}

/** Lines in pieces of a size that suits a pipe: neither one write per line nor one text of 20 MB. */
function* pieces(input: readonly string[]): Generator<Buffer> {
  let batch: string[] = [];
  let length = 0;
  for (const text of input) {
    batch.push(text);
    length += text.length;
    if (length < writeSize) continue;
    yield Buffer.from(batch.join(''));
    batch = [];
    length = 0;
  }
  if (length > 0) yield Buffer.from(batch.join(''));
}

function stdinOf(input: Command['input']): 'ignore' | Iterable<unknown> {
  if (input === undefined) return 'ignore';
  return pieces(typeof input === 'string' ? [input] : input);
}

/** Reads a stream to its end so that the writer never blocks, and keeps its beginning. */
function collect(stream: Readable): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    if (size < maxStderr) chunks.push(chunk.subarray(0, maxStderr - size));
    size += chunk.length;
  });
  // A pipe that breaks says no more than the exit code does.
  stream.on('error', () => undefined);
  return () => Buffer.concat(chunks).toString();
}

/**
 * Resolves when it makes no sense to wait for execa any longer: the process is gone but a child of its own keeps the
 * pipes open, or not even SIGKILL ended it.
 */
function giveUp(
  child: ChildProcess,
  timeoutMs: number,
  settled: AbortSignal,
  cancelled?: AbortSignal,
): Promise<undefined> {
  return new Promise((resolve) => {
    const timers: NodeJS.Timeout[] = [];
    const giveUpIn = (ms: number): void => {
      if (!settled.aborted) timers.push(setTimeout(() => resolve(undefined), ms));
    };
    giveUpIn(timeoutMs + killDelayMs + abandonMs);
    const waitForPipes = (waits: number): void => {
      if (settled.aborted) return;
      if (waits === 0) resolve(undefined);
      else timers.push(setTimeout(() => waitForPipes(waits - 1), pipeGraceMs / pipeGraceWaits));
    };
    child.once('exit', () => waitForPipes(pipeGraceWaits));
    const onCancel = (): void => giveUpIn(killDelayMs + abandonMs);
    cancelled?.addEventListener('abort', onCancel, { once: true });
    settled.addEventListener('abort', () => {
      for (const timer of timers) clearTimeout(timer);
      cancelled?.removeEventListener('abort', onCancel);
    });
  });
}
