import { CommanderError } from 'commander';
import { cleanup } from './commands/cleanup.ts';
import { config } from './commands/config.ts';
import type { Output } from './commands/output.ts';
import { plan } from './commands/plan.ts';
import { run } from './commands/run.ts';
import { commandErrorLine, createProgram } from './program.ts';

const output: Output = {
  write: (text) => process.stdout.write(text),
  warn: (text) => process.stderr.write(text),
  isColoured:
    process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb',
};

/** The first signal asks to stop, the second one does not ask. */
function stopRequested(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      // As a shell counts processes that a signal ended.
      if (asked) process.exit(signal === 'SIGINT' ? 130 : 143);
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

/** Rejects with the first error that nobody caught. From here on such errors don't end the process: whoever asked does. */
function uncaught(): Promise<never> {
  return new Promise((_, reject) => {
    process.on('uncaughtException', reject);
  });
}

async function main(): Promise<void> {
  const version = process.env['WEIR_VERSION'] ?? 'built from source';
  const program = createProgram(version, {
    // What an abandoned sync or start still waits for must not hold the process.
    run: async (flags) =>
      process.exit(await run({ flags, env: process.env, version, stopRequested: stopRequested(), uncaught })),
    plan: async (flags) => {
      process.exitCode = await plan({ flags, env: process.env, version, output });
    },
    config: async (flags) => {
      process.exitCode = await config({ flags, output });
    },
    cleanup: async (flags) => {
      process.exitCode = await cleanup({ flags, output });
    },
  });
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    const line = commandErrorLine(error);
    if (line !== undefined) output.warn(`error: ${line}\n`);
    process.exitCode = error instanceof CommanderError && error.exitCode === 0 ? 0 : 1;
  }
}

await main();
