import { resolve } from 'node:path';
import type { CommandRunner } from '../../pkg/runtime/index.ts';

/**
 * The words that put a program into a network namespace, which has a name below `/run/netns` or is a file elsewhere; the
 * program replaces them, so its process id is theirs.
 */
export function namespacePrefix(name: string): readonly [string, ...string[]] {
  return ['nsenter', `--net=${resolve('/run/netns', name)}`, '--'];
}

/** A runner whose commands all run in the network namespace `name`. */
export function inNamespace(runner: CommandRunner, name: string): CommandRunner {
  const [file, ...prefix] = namespacePrefix(name);
  return {
    run: (command, signal) =>
      runner.run({ ...command, file, args: [...prefix, command.file, ...command.args] }, signal),
  };
}
