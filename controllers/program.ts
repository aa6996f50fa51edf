import { Command, CommanderError } from 'commander';
import type { Flags } from '../pkg/config/index.ts';
import { errorLine, isWeirError } from '../pkg/runtime/index.ts';
import { addCleanupFlags, addPlanFlags, addRunFlags } from './commands/flags.ts';
import { type Examples, kubectlHelp } from './commands/kubectl-help.ts';

/** What each command does with the flags it was given. */
export interface Actions {
  run(flags: Flags): Promise<void>;
  plan(flags: Flags): Promise<void>;
  /** Prints the effective configuration; with `writeConfigTo` it goes to that file. */
  config(flags: Flags): Promise<void>;
  cleanup(flags: Flags): Promise<void>;
}

const examples: Examples = {
  run: [
    "  # Take kube-proxy's place, with its configuration",
    '  weir run --config /var/lib/kube-proxy/config.conf --hostname-override node-1',
    '',
    '  # Route the Services of a folder of manifests on this node',
    '  weir run --manifests ./cluster --node-name node-1 --cluster-cidr 10.244.0.0/16',
  ],
  plan: [
    '  # What would Weir change on this node?',
    '  weir plan --config /var/lib/kube-proxy/config.conf --hostname-override node-1',
    '',
    '  # Only how much, and of which Services, policies and pods',
    '  weir plan --config /var/lib/kube-proxy/config.conf --hostname-override node-1 --summary',
    '',
    '  # The same for a node that runs kube-proxy, without touching it',
    '  kubectl get services,endpointslices,pods,nodes -A -o yaml > cluster.yaml',
    '  ssh node-1 "iptables-save; ip6tables-save; ipset save" > node-1.rules',
    '  weir plan --manifests cluster.yaml --node-name node-1 --against node-1.rules',
  ],
  config: [
    "  # What does Weir make of kube-proxy's configuration?",
    '  weir config --config /var/lib/kube-proxy/config.conf',
    '',
    '  # Turn flags into a file',
    '  weir config --cluster-cidr 10.244.0.0/16 --iptables-backend nft > weir.yaml',
  ],
  cleanup: [
    '  # Remove everything, when nothing on this node uses the rules any more',
    '  weir cleanup',
    '',
    '  # Give the node back to kube-proxy, after it has started',
    '  weir cleanup --hand-back',
  ],
};

/** The command line. Parsing throws CommanderErrors and what the actions throw; `commandErrorLine` puts them into words. */
export function createProgram(version: string, actions: Actions): Command {
  const program = new Command('weir')
    .description('Weir routes the Services of a Kubernetes cluster on one node, through iptables and ipset.')
    .usage('COMMAND [options]')
    .version(version, '--version', 'Print the version.')
    .helpOption('-h, --help', 'Print this help.')
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ formatHelp: kubectlHelp(examples) })
    // What is wrong is said in one place, whoever finds it.
    .configureOutput({ outputError: () => undefined });

  addRunFlags(program.command('run'))
    .summary("Keep this node's rules up to date")
    .description(
      "Keep this node's rules up to date until told to stop by SIGTERM or SIGINT. The rules stay when it ends.",
    )
    .usage('[options]')
    .action((flags: Flags) => runOrElse(flags, actions));

  addPlanFlags(program.command('plan'))
    .summary('Show what would change in the kernel, and change nothing')
    .description(
      'Show the exact difference between the kernel and what should be there: first a summary, then each change with the object and the field that it comes from. Changes nothing.\n\nThe exit code is 0 when there is no difference, 2 when there is one, and 1 after an error.',
    )
    .usage('[options]')
    .action((flags: Flags) => actions.plan(flags));

  addRunFlags(program.command('config'))
    .summary('Print the effective configuration')
    .description(
      'Print the configuration that run has with the same flags, defaults included, as a file that --config reads. What is wrong with it is said with file, line and column, and the exit code is 1.',
    )
    .usage('[options]')
    .action((flags: Flags) => actions.config(flags));

  addCleanupFlags(program.command('cleanup'))
    .summary("Remove Weir's rules and sets from the kernel")
    .description(
      "Remove Weir's rules and sets from the kernel, and say which. Refuses while Weir or another proxy runs here.\n\nThe exit code is 0 when nothing is left, 2 when rules of others refer to something of Weir's, which is named with the command that removes them, and 1 after an error.",
    )
    .usage('[options]')
    .action((flags: Flags) => actions.cleanup(flags));
  return program;
}

/** What `run` shall do: kube-proxy has flags for what are commands here. */
function runOrElse(flags: Flags, actions: Actions): Promise<void> {
  const { writeConfigTo = '', cleanup, iptablesBackend, parts } = flags;
  if (writeConfigTo !== '') return actions.config(flags);
  const isCleanup = cleanup === true || cleanup === 'true';
  return isCleanup ? actions.cleanup({ iptablesBackend, parts }) : actions.run(flags);
}

/**
 * What a person reads when a command ends early: one line, or one for each mistake in the configuration; `undefined` when
 * nothing is wrong (`--help`).
 */
export function commandErrorLine(error: unknown): string | undefined {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0 || error.code === 'commander.help') return undefined;
    const line = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
    const suggests = error.code !== 'commander.unknownOption' || line.includes('Did you mean');
    return suggests ? line : `${line} (--help lists all)`;
  }
  if (!isWeirError(error) || error.code === 'WEIR_BUG') return errorLine(error);
  if (error.code === 'WEIR_BAD_FLAG') return error.message.replaceAll('\n', '\nerror: ');
  return error.code === 'WEIR_NOT_PRIVILEGED'
    ? `Weir must run as root, or with the capabilities NET_ADMIN and NET_RAW (${plain(error)})`
    : plain(error);
}

/** Without the code, which is for log readers. */
function plain(error: Error): string {
  return error.message.replaceAll(/\s*\n\s*/g, '; ');
}
