import { accessSync, constants } from 'node:fs';

/** Young objects in a small space: a big cluster's start would otherwise take half as much again. Too late once V8 has begun. */
const semiSpaceFlag = '--max-semi-space-size';
const semiSpaceMB = 4;
/** One heap for all threads of the C library, each of which would keep for good what it needed once. */
const arenas = ['MALLOC_ARENA_MAX', '1'] as const;

/** How `env -S` starts Node.js with them: the first line of the program. */
export const startWords = [arenas.join('='), 'node', `${semiSpaceFlag}=${semiSpaceMB}`] as const;

/** Commands that hold a whole cluster in memory. */
const largeCommands: ReadonlySet<string> = new Set(['run', 'plan']);

/** Of `process`, what decides. */
export interface StartedProcess {
  readonly argv0: string;
  readonly argv: readonly string[];
  readonly execArgv: readonly string[];
  readonly execPath: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Present when a Node.js program started this one with a channel of its own. */
  readonly channel?: unknown;
}

/** What to become. */
export interface Restart {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The same command with the flags that keep its memory small; `undefined` when it has them, or others that somebody chose, or does not
 * need them. A channel to another program would not survive.
 */
export function restartFor(started: StartedProcess): Restart | undefined {
  const { argv0, argv, execArgv, execPath, env, channel } = started;
  if (!largeCommands.has(argv[2] ?? '') || channel !== undefined) return undefined;
  const given = [...execArgv, ...(env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  const hasSemiSpace = given.some((word) => word.replaceAll('_', '-').startsWith(semiSpaceFlag));
  const [name, value] = arenas;
  if (hasSemiSpace && env[name] !== undefined) return undefined;
  const flags = hasSemiSpace ? [] : [`${semiSpaceFlag}=${semiSpaceMB}`];
  return {
    file: execPath,
    args: [argv0, ...execArgv, ...flags, ...argv.slice(1)],
    env: { ...env, [name]: env[name] ?? value },
  };
}

/**
 * Starts the program anew, in this same process, if it lacks the flags: `node weir.js`, a wrapper or npm know nothing of its first line.
 * As the kernel's exec does: number, parent, signals and standard streams stay, and this never returns. To be called before anything
 * is loaded, and before a standard stream is used, whose mode would stay changed.
 */
export function restartWithMemoryFlags(): void {
  const restart = restartFor(process);
  if (restart === undefined || !canExecute(restart.file)) return;
  process.execve?.(restart.file, restart.args, { ...restart.env });
}

/** Node.js was replaced while it started, say. Then a failing exec would end the process. */
function canExecute(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
