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
  /** Resolves with a few words for people when it has ended by itself. */
  readonly ended: Promise<string>;
  /** Kills it, as the end of a machine does. Resolves when it is gone. */
  kill(): Promise<void>;
  /** After `kill`. */
  startAgain(): void;
  /** Frozen, it neither answers nor ends, and its connections stay. */
  freeze(): void;
  thaw(): void;
}

export function startProgram(spec: ProgramSpec): RunningProgram {
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  let life = startLife(spec);
  let isWanted = true;
  const watch = async (): Promise<void> => {
    const current = life;
    const words = await current.ended;
    if (isWanted && life === current) resolve(words);
  };
  void watch();
  return {
    name: spec.name,
    ended,
    kill: async () => {
      isWanted = false;
      life.signal('SIGKILL');
      await life.ended;
    },
    startAgain: () => {
      if (isWanted) throw new Error(`${spec.name} runs`);
      isWanted = true;
      life = startLife(spec);
      void watch();
    },
    freeze: () => life.signal('SIGSTOP'),
    thaw: () => life.signal('SIGCONT'),
  };
}

interface Life {
  readonly ended: Promise<string>;
  signal(signal: NodeJS.Signals): void;
}

function startLife(spec: ProgramSpec): Life {
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
  return { ended, signal: (signal) => void child.kill(signal) };
}
