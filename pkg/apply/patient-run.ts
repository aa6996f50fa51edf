import type { Clock, Command, CommandResult, CommandRunner } from '../runtime/index.ts';
import { Backoff } from '../runtime/index.ts';
import { failureText, isContention, succeeded } from './command-failure.ts';
import type { FamilyTools } from './tools.ts';

export interface RestoreContext {
  readonly tools: FamilyTools;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  /** Told once a piece that somebody else holds up the kernel's rules. */
  readonly onContention: (message: string) => void;
}

/** A restore that takes longer than this is hung: 170,000 rules in one piece take half a minute. */
const restoreTimeoutMs = 120_000;
/** How long the tool itself waits for the lock, in seconds: kube-proxy's value. */
const lockWaitSeconds = 5;
/** Beyond this we would rather start over from a fresh look at the kernel. */
const contentionDeadlineMs = 60_000;
/**
 * Sets that a deleted rule looked into are released a moment after the rule is gone, on nf_tables; sets that somebody lists cannot be destroyed or
 * swapped until he is through.
 */
const setReleaseDeadlineMs = 3000;

export interface PatienceOptions {
  /** Whether sets that are in use may be released soon. Defaults to true. */
  readonly waitsForSets?: boolean;
}

export interface PatientRun {
  /** The last of them. */
  readonly result: CommandResult;
  readonly spawns: number;
}

/** Runs a restore command, again and again while something that passes is in its way. How it ended is up to the caller. */
export async function runPatiently(
  command: Command,
  { clock, commands, onContention }: RestoreContext,
  signal?: AbortSignal,
  { waitsForSets = true }: PatienceOptions = {},
): Promise<PatientRun> {
  const startedAt = clock.now();
  const backoff = new Backoff({ initialMs: 100, maxMs: 2000 });
  for (let spawns = 1; ; spawns += 1) {
    // Not handed the signal: a restore under way is quicker ended than repaired.
    const result = await commands.run(command);
    if (succeeded(result)) return { result, spawns };
    const patience = patienceMs(result, waitsForSets);
    const delay = backoff.next();
    if (clock.now() + delay - startedAt > patience) return { result, spawns };
    if (backoff.failures === 1 && isContention(result))
      onContention(`${command.file} waits: ${failureText(result)}`);
    await clock.sleep(delay, signal);
  }
}

/** The command that takes `input` in. */
export function restoreCommand(
  tool: 'iptables-restore' | 'ipset',
  input: readonly string[],
  tools: FamilyTools,
): Command {
  const common = { input, timeoutMs: restoreTimeoutMs };
  // -exist: what is there already may stay, what is gone already may be gone, so a piece can be run again.
  if (tool === 'ipset') return { ...common, file: 'ipset', args: ['restore', '-exist'] };
  return { ...common, file: tools.restore, args: ['--noflush', '-w', String(lockWaitSeconds)] };
}

/** How long the piece may be tried again after such a result. */
function patienceMs(result: CommandResult, waitsForSets: boolean): number {
  if (isContention(result)) return contentionDeadlineMs;
  return waitsForSets && setIsHeld.test(result.stderr) ? setReleaseDeadlineMs : -1;
}

export const setIsHeld = /in use by a kernel component|ipset.*Kernel error received: Device or resource busy/;
