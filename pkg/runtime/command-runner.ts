/** Characters of standard output, beyond which a program counts as failed. */
export const maxStdout = 256 * 1024 * 1024;
/** Characters of standard error; the rest is dropped. */
export const maxStderr = 64 * 1024;

/** One program to run. Arguments are passed as they are: no shell. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  /** Text for standard input; a list is written piece by piece, never joined. */
  readonly input?: string | readonly string[];
  /** Keep standard output (default: discarded, which is also the fast path). */
  readonly captureOutput?: boolean;
  /** After this many milliseconds the process gets SIGTERM, and SIGKILL a second later. */
  readonly timeoutMs: number;
}

/** How a command ended. A failure is a value: the caller knows what it means. */
export interface CommandResult {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  /** At most 64 KiB; the rest is dropped. */
  readonly stderr: string;
  readonly timedOut: boolean;
  /** Set when the program could not be started at all, e.g. `ENOENT`. */
  readonly spawnError?: string;
  readonly durationMs: number;
}

/** The only way by which Weir starts processes. Never rejects, except with the signal's reason. */
export interface CommandRunner {
  run(command: Command, signal?: AbortSignal): Promise<CommandResult>;
}
