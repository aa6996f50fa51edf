import {
  absentSnapshot,
  type DetectedTools,
  detectBackend,
  type FamilyTools,
  ipv6Off,
  KernelWriter,
} from '../../pkg/apply/index.ts';
import { CanarySignal, RulesetListener } from '../../pkg/change-signal/index.ts';
import type { RuleConfig } from '../../pkg/config/index.ts';
import { BuiltinChains, RuleState } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, type CommandRunner, ShellCommandRunner } from '../../pkg/runtime/index.ts';
import { CanaryKeeper } from './canary-keeper.ts';
import { ChangeWatch } from './change-watch.ts';
import { FamilySync } from './family-sync.ts';
import { type Part, partOwnership, ruleLandmarks } from './part-ownership.ts';
import { PartSync } from './part-sync.ts';
import { TableReport } from './table-report.ts';

export interface Kernel {
  readonly tools: DetectedTools;
  readonly families: readonly FamilySync[];
  /** For small programs that only look, and run all the time. */
  readonly lookCommands: CommandRunner;
  /** Whether anybody has changed the rules. Does nothing until it is asked. */
  readonly changes: ChangeWatch;
  /** Where the signal needs rules of its own. */
  readonly canaryKeeper: CanaryKeeper | undefined;
}

/** Finds out what the node's kernel and programs can do, and prepares one writer for each family. */
export async function openKernel(
  { iptablesBackend: choice, parts }: Pick<RuleConfig, 'iptablesBackend' | 'parts'>,
  commands: CommandRunner,
  clock: Clock,
  log: Logger,
): Promise<Kernel> {
  const tools = await detectBackend({ commands, choice, clock });
  for (const warning of tools.warnings) log.warn(warning);
  log.info(`iptables backend: ${tools.backend}, because ${tools.because}`);
  const lookCommands = new ShellCommandRunner(commands);
  const onContention = (message: string): void => log.warn(message);
  const report = new TableReport(log, parts);
  const whyAbsent = new Map(tools.absent.map(({ tools: { family }, why }) => [family, why]));
  for (const [family, why] of whyAbsent) report.absent(family, why);
  const createWriter = (ofFamily: FamilyTools): KernelWriter =>
    new KernelWriter({
      tools: ofFamily,
      commands,
      lookCommands,
      landmarks: ruleLandmarks(parts),
      ...(ofFamily.family === 'IPv6' ? { whyOff: () => ipv6Off('/proc') } : {}),
      onRead: (snapshot) => report.read(ofFamily.family, snapshot),
      clock,
      onContention,
    });
  const writers = new Map(allTools(tools).map((ofFamily) => [ofFamily.family, createWriter(ofFamily)]));
  const onProblem = (problem: string): void =>
    log.info(
      `${problem}. Changes by others are looked for by a quick check every 1.5 s instead, which takes more processor time`,
    );
  const isLegacy = tools.backend === 'legacy';
  const signal = isLegacy ? new CanarySignal({ onProblem }) : new RulesetListener({ clock, onProblem });
  const families: FamilySync[] = [];
  const changes = new ChangeWatch(signal, writers, () => families.flatMap((family) => family.tables()));
  for (const [family, writer] of writers)
    families.push(createFamily(family, writer, clock, parts, { changes, whyAbsent: whyAbsent.get(family) }));
  return {
    tools,
    families,
    lookCommands,
    changes,
    canaryKeeper: isLegacy ? new CanaryKeeper({ clock, writers, onProblem }) : undefined,
  };
}

export interface FamilyOptions {
  /** Tells changes of others from those of a write. */
  readonly changes?: Pick<ChangeWatch, 'aroundWrite'>;
  /** Why the node does not have the family, as far as was looked. */
  readonly whyAbsent?: string | undefined;
}

/** These parts of one family, with one writer. */
export function createFamily(
  family: Family,
  writer: KernelWriter,
  clock: Clock,
  parts: readonly Part[],
  { changes, whyAbsent }: FamilyOptions = {},
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
    changes,
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
  return allTools(tools).filter(({ family }) => present.includes(family));
}

/** The rules of one part in all families. */
export function statesOf(families: readonly FamilySync[], part: Part): readonly RuleState[] {
  return families.flatMap((family) => family.part(part)?.state ?? []);
}

/** Of both families, IPv4 first, whether the node has them now or not. */
function allTools({ families, absent }: DetectedTools): readonly FamilyTools[] {
  return [...families, ...absent.map(({ tools }) => tools)].toSorted((a, b) =>
    a.family < b.family ? -1 : 1,
  );
}
