import {
  absentSnapshot,
  type DetectedTools,
  detectBackend,
  type FamilyTools,
  ipv6Off,
  KernelWriter,
} from '../../pkg/apply/index.ts';
import type { RuleConfig } from '../../pkg/config/index.ts';
import { BuiltinChains, RuleState } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, type CommandRunner, ShellCommandRunner } from '../../pkg/runtime/index.ts';
import { FamilySync } from './family-sync.ts';
import { type Part, partOwnership, parts, ruleLandmarks } from './part-ownership.ts';
import { PartSync } from './part-sync.ts';
import { TableReport } from './table-report.ts';

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
  const tools = await detectBackend({ commands, choice, clock });
  for (const warning of tools.warnings) log.warn(warning);
  log.info(`iptables backend: ${tools.backend}, because ${tools.because}`);
  const lookCommands = new ShellCommandRunner(commands);
  const onContention = (message: string): void => log.warn(message);
  const report = new TableReport(log);
  const whyAbsent = new Map(tools.absent.map(({ tools: { family }, why }) => [family, why]));
  for (const [family, why] of whyAbsent) report.absent(family, why);
  const all = [...tools.families, ...tools.absent.map((absent) => absent.tools)].toSorted(byFamily);
  const families = all.map((ofFamily) => {
    const { family } = ofFamily;
    const writer = new KernelWriter({
      tools: ofFamily,
      commands,
      lookCommands,
      landmarks: ruleLandmarks,
      ...(family === 'IPv6' ? { whyOff: () => ipv6Off('/proc') } : {}),
      onRead: (snapshot) => report.read(family, snapshot),
      clock,
      onContention,
    });
    return createFamily(family, writer, clock, whyAbsent.get(family));
  });
  return { tools, families, lookCommands };
}

/** All parts of one family, with one writer. `whyAbsent`: the node does not have the family, as far as was looked. */
export function createFamily(
  family: Family,
  writer: KernelWriter,
  clock: Clock,
  whyAbsent?: string,
): FamilySync {
  const builtins = new BuiltinChains();
  const stateOf = (part: Part): RuleState => {
    const state = new RuleState(family, partOwnership(part, family), builtins);
    if (whyAbsent !== undefined) state.replaceApplied(absentSnapshot(state.tables, whyAbsent));
    return state;
  };
  return new FamilySync({
    family,
    writer,
    builtins,
    parts: parts.map((part) => new PartSync(part, stateOf(part))),
    now: () => clock.now(),
  });
}

/** The families that the node has now. */
export function presentFamilies({ families }: Pick<Kernel, 'families'>): readonly Family[] {
  return families.filter(({ isAbsent }) => !isAbsent).map(({ family }) => family);
}

/** The programs of the families that the node has now. */
export function presentTools({ tools, families }: Kernel): readonly FamilyTools[] {
  const present = presentFamilies({ families });
  const all = [...tools.families, ...tools.absent.map((absent) => absent.tools)];
  return all.filter(({ family }) => present.includes(family));
}

/** The rules of one part in all families. */
export function statesOf(families: readonly FamilySync[], part: Part): readonly RuleState[] {
  return families.flatMap((family) => family.part(part)?.state ?? []);
}

function byFamily(a: FamilyTools, b: FamilyTools): number {
  return a.family < b.family ? -1 : 1;
}
