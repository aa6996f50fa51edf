import { type DetectedTools, detectBackend, KernelWriter } from '../../pkg/apply/index.ts';
import type { RuleConfig } from '../../pkg/config/index.ts';
import { BuiltinChains, RuleState } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, type CommandRunner, ShellCommandRunner } from '../../pkg/runtime/index.ts';
import { FamilySync } from './family-sync.ts';
import { type Part, partOwnership, parts } from './part-ownership.ts';
import { PartSync } from './part-sync.ts';

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
    return createFamily(family.family, writer, clock);
  });
  return { tools, families, lookCommands };
}

/** All parts of one family, with one writer. */
export function createFamily(family: Family, writer: KernelWriter, clock: Clock): FamilySync {
  const builtins = new BuiltinChains();
  return new FamilySync({
    family,
    writer,
    builtins,
    parts: parts.map(
      (part) => new PartSync(part, new RuleState(family, partOwnership(part, family), builtins)),
    ),
    now: () => clock.now(),
  });
}

/** The rules of one part in all families. */
export function statesOf(families: readonly FamilySync[], part: Part): readonly RuleState[] {
  return families.flatMap((family) => family.part(part)?.state ?? []);
}
