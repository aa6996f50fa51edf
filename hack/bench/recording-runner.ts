import type { Command, CommandRunner } from '../../pkg/runtime/index.ts';

/** Passes commands on and keeps those that write, to run the bare tools on the same bytes afterwards. */
export interface RecordingRunner extends CommandRunner {
  /** Commands with input since the last call. */
  taken(): readonly Command[];
}

export function recordingRunner(inner: CommandRunner): RecordingRunner {
  let commands: Command[] = [];
  return {
    run: (command, signal) => {
      if (command.input !== undefined) commands.push(command);
      return inner.run(command, signal);
    },
    taken: () => {
      const result = commands;
      commands = [];
      return result;
    },
  };
}
