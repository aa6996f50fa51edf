import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { namespacePrefix } from '../support/in-namespace.ts';
import { labFiles } from './settings.ts';

/** A program that runs until the lab ends or a test stops it. */
export interface ProgramSpec {
  /** Also the name of its log. */
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly namespace: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A running program. Its output goes to `logs/NAME.log`. */
export interface RunningProgram {
  readonly name: string;
  readonly pid: number;
  /** Resolves with a few words for people when it has ended, for whatever reason. */
  readonly ended: Promise<string>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export function startProgram(spec: ProgramSpec): RunningProgram {
  const [file, ...prefix] = namespacePrefix(spec.namespace);
  const log = openSync(join(labFiles.logs, `${spec.name}.log`), 'a');
  const child = spawn(file, [...prefix, spec.file, ...spec.args], {
    env: { ...process.env, ...spec.env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${spec.name} could not be started: ${error.message}`));
    child.once('exit', (code, signal) => resolve(`${spec.name} ended (${signal ?? `exit code ${code}`})`));
  });
  return {
    name: spec.name,
    pid: child.pid ?? 0,
    ended,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      await ended;
    },
  };
}
