import type { Command, CommandResult, CommandRunner } from '../../pkg/runtime/index.ts';

/** What a scripted program does; undefined stands for a program that is not installed. */
export type FakeProgram = (command: Command, call: number) => Partial<CommandResult> | undefined;

export interface FakeCommandRunner extends CommandRunner {
  /** What was run, in order. */
  readonly ran: readonly Command[];
  /** The same as text, with the arguments. */
  readonly lines: readonly string[];
}

/** Programs by file name, answering from a script; all that is not in it is not installed. */
export function fakeCommandRunner(programs: Readonly<Record<string, FakeProgram>>): FakeCommandRunner {
  const ran: Command[] = [];
  const calls = new Map<string, number>();
  return {
    ran,
    get lines() {
      return ran.map((command) => [command.file, ...command.args].join(' '));
    },
    run: async (command, signal) => {
      signal?.throwIfAborted();
      ran.push(command);
      const call = calls.get(command.file) ?? 0;
      calls.set(command.file, call + 1);
      const nothing: CommandResult = { exitCode: 0, stdout: '', stderr: '', timedOut: false, durationMs: 1 };
      const answer = programs[command.file]?.(command, call);
      return answer === undefined
        ? { ...nothing, exitCode: undefined, spawnError: 'ENOENT' }
        : { ...nothing, ...answer };
    },
  };
}

/** Standard input of a command as one text. */
export function inputOf(command: Command | undefined): string {
  const input = command?.input ?? '';
  return typeof input === 'string' ? input : input.join('');
}
