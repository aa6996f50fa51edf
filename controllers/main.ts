import { Command, CommanderError, Option } from 'commander';
import { errorLine } from '../pkg/runtime/index.ts';
import { cleanup } from './commands/cleanup.ts';
import type { Output } from './commands/output.ts';
import { plan } from './commands/plan.ts';
import { addRuleFlags, flagValues } from './commands/rule-flags.ts';
import { run } from './commands/run.ts';

type Flags = Readonly<Record<string, unknown>>;

const output: Output = {
  write: (text) => process.stdout.write(text),
  warn: (text) => process.stderr.write(text),
  isTerminal: process.stdout.isTTY,
};

/** The first signal asks to stop, the second one does not ask. */
function stopRequested(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(130);
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

function createProgram(finish: (exitCode: number) => void): Command {
  const program = new Command('weir')
    .description('Routes the Services of a Kubernetes cluster on one node, through iptables.')
    .version(process.env['WEIR_VERSION'] ?? 'built from source', '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text) });

  addRuleFlags(program.command('run'))
    .description("Keep the node's rules up to date until told to stop. The rules stay when it ends.")
    .option(
      '--iptables-sync-period <duration>',
      'how often to compare the kernel with what should be there',
      '30s',
    )
    .option(
      '--iptables-min-sync-period <duration>',
      'shortest time between two syncs (default: follows how long they take)',
    )
    .addOption(new Option('--logging-format <format>', 'text or json').default('text'))
    .option('-v, --v <level>', 'more log lines from level 1', '0')
    .addHelpText(
      'after',
      '\nExamples:\n  # Route the Services of a folder of manifests on this node\n  weir run --manifests ./cluster --node-name node-1 --cluster-cidr 10.244.0.0/16',
    )
    .action(async (options: Flags) =>
      finish(await run({ flags: flagValues(options), stopRequested: stopRequested() })),
    );

  addRuleFlags(program.command('plan'))
    .description(
      'Show the exact difference to the running kernel. Touches nothing.\nExit code: 0 no change, 2 changes, 1 error.',
    )
    .addOption(new Option('--output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .option(
      '--against <file...>',
      'compare with saved rules (iptables-save, ip6tables-save) instead of the kernel',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  # What would Weir change on this node?\n  weir plan --manifests ./cluster --node-name node-1\n\n  # Compare with rules saved on another machine\n  weir plan --manifests ./cluster --node-name node-1 --against rules.v4',
    )
    .action(async (options: Flags) => {
      const { output: format, against, ...flags } = options;
      const files = Array.isArray(against) ? against.map(String) : [];
      const asked = format === 'json' ? 'json' : 'text';
      finish(await plan({ flags: flagValues(flags), against: files, format: asked, output }));
    });

  program
    .command('cleanup')
    .description("Remove Weir's rules and sets from the kernel, and say which.")
    .option(
      '--hand-back',
      "remove only what is Weir's own and leave every KUBE- chain to kube-proxy (run after its first sync)",
      false,
    )
    .option('--force', 'also while Weir or another proxy runs on this node', false)
    .addOption(
      new Option('--iptables-backend <backend>', 'legacy, nft or auto')
        .choices(['auto', 'legacy', 'nft'])
        .default('auto'),
    )
    .action(
      async (options: { handBack: boolean; force: boolean; iptablesBackend: 'auto' | 'legacy' | 'nft' }) => {
        const { handBack, force, iptablesBackend: backend } = options;
        finish(await cleanup({ handBack, force, backend, output }));
      },
    );
  return program;
}

async function main(): Promise<void> {
  let exitCode = 0;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    exitCode = 1;
    if (error instanceof CommanderError) exitCode = error.exitCode === 0 ? 0 : 1;
    else output.warn(`error: ${errorLine(error)}\n`);
  }
  process.exitCode = exitCode;
}

await main();
