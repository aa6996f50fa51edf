import { type DetectedTools, detectBackend, KernelWriter } from '../../pkg/apply/index.ts';
import type { RuleConfig } from '../../pkg/config/index.ts';
import { RuleState } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import { type Clock, type CommandRunner, ShellCommandRunner } from '../../pkg/runtime/index.ts';
import { FamilySync } from './family-sync.ts';
import { ruleOwnership } from './rule-ownership.ts';

export interface Kernel {
  readonly tools: DetectedTools;
  readonly families: readonly FamilySync[];
  /** For small programs that only look, and run all the time. */
  readonly lookCommands: CommandRunner;
}

/** Finds out what the node's kernel and programs can do, and prepares one writer for each family. */
export async function openKernel(
  choice: RuleConfig['iptablesBackend'],
  commands: CommandRunner,
  clock: Clock,
  log: Logger,
): Promise<Kernel> {
  const tools = await detectBackend({ commands, choice });
  for (const warning of tools.warnings) log.warn(warning);
  log.info(`iptables backend: ${tools.backend}, because ${tools.because}`);
  const lookCommands = new ShellCommandRunner(commands);
  const onContention = (message: string): void => log.warn(message);
  const families = tools.families.map((family) => {
    const writer = new KernelWriter({ tools: family, commands, lookCommands, clock, onContention });
    const state = new RuleState(family.family, ruleOwnership(family.family));
    return new FamilySync(state, writer, () => clock.now());
  });
  return { tools, families, lookCommands };
}
