import type { ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { execa } from 'execa';
import { programEnvironment } from './program-environment.ts';

/**
 * Starts a program that is told things and answers for as long as this process runs, without its environment. It alone keeps no process
 * alive, and what runs in it is a group of its own.
 */
export function startInBackground(
  file: string,
  args: readonly string[],
  { stderr }: { readonly stderr: 'pipe' | 'ignore' },
): ChildProcess {
  const child = execa(file, args, {
    env: programEnvironment(),
    extendEnv: false,
    reject: false,
    detached: true,
    stdin: 'pipe',
    stdout: 'pipe',
    stderr,
    buffer: false,
  }).nodeChildProcess;
  // A pipe that breaks says no more than the end of the process does.
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    stream?.on('error', () => undefined);
    if (stream instanceof Socket) stream.unref();
  }
  child.unref();
  return child;
}
