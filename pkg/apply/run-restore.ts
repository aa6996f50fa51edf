import type { Clock, Command, CommandResult, CommandRunner } from '../runtime/index.ts';
import { Backoff, WeirError } from '../runtime/index.ts';
import {
  failedLine,
  failureText,
  inputAround,
  isContention,
  isUnprivileged,
  succeeded,
} from './command-failure.ts';
import type { RestorePiece } from './restore-piece.ts';
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

/**
 * Runs one piece. Contention is waited out; every other failure is a WeirError that shows what the tool said
 * and the input it said it about. Returns the number of processes it took.
 */
export async function runRestore(
  piece: RestorePiece,
  context: RestoreContext,
  signal?: AbortSignal,
): Promise<number> {
  const { clock, commands, onContention } = context;
  const command = restoreCommand(piece, context.tools);
  const startedAt = clock.now();
  const backoff = new Backoff({ initialMs: 100, maxMs: 2000 });
  for (let spawns = 1; ; spawns += 1) {
    // Not handed the signal: a restore under way is quicker ended than repaired.
    const result = await commands.run(command);
    if (succeeded(result)) return spawns;
    const patience = patienceMs(result);
    const delay = backoff.next();
    if (clock.now() + delay - startedAt > patience) throw restoreError(piece, command, result);
    if (backoff.failures === 1 && isContention(result))
      onContention(`${command.file} waits: ${failureText(result)}`);
    await clock.sleep(delay, signal);
  }
}

function restoreCommand(piece: RestorePiece, tools: FamilyTools): Command {
  const common = { input: piece.input, timeoutMs: restoreTimeoutMs };
  // -exist: what is there already may stay, what is gone already may be gone, so a piece can be run again.
  if (piece.tool === 'ipset') return { ...common, file: 'ipset', args: ['restore', '-exist'] };
  return { ...common, file: tools.restore, args: ['--noflush', '-w', String(lockWaitSeconds)] };
}

/** How long the piece may be tried again after such a result. */
function patienceMs(result: CommandResult): number {
  if (isContention(result)) return contentionDeadlineMs;
  return setIsHeld.test(result.stderr) ? setReleaseDeadlineMs : -1;
}

const setIsHeld = /in use by a kernel component|ipset.*Kernel error received: Device or resource busy/;

function restoreError(piece: RestorePiece, command: Command, result: CommandResult): WeirError {
  const said = failureText(result);
  if (isContention(result)) {
    return new WeirError(
      'WEIR_LOCK_HELD',
      `${command.file} could not get at the rules for a minute: ${said}`,
    );
  }
  if (isUnprivileged(result)) return new WeirError('WEIR_NOT_PRIVILEGED', `${command.file}: ${said}`);
  const line = failedLine(result.stderr);
  const around = line === undefined ? '' : inputAround(piece.input, line);
  const message = `${command.file} (${piece.about}): ${said}${around === '' ? '' : `\n${around}`}`;
  if (piece.tool === 'ipset') {
    return new WeirError(result.spawnError === 'ENOENT' ? 'WEIR_NO_IPSET' : 'WEIR_IPSET_FAILED', message);
  }
  return new WeirError(result.spawnError === 'ENOENT' ? 'WEIR_NO_IPTABLES' : 'WEIR_RESTORE_FAILED', message);
}
