import type { SetName } from '../kernel/index.ts';
import type { Command, CommandResult } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import {
  failedLine,
  failureText,
  inputAround,
  isContention,
  isUnprivileged,
  succeeded,
} from './command-failure.ts';
import { type RestoreContext, restoreCommand, runPatiently, setIsHeld } from './patient-run.ts';
import type { RestorePiece } from './restore-piece.ts';

export interface RestoreReport {
  /** Processes that it took. */
  readonly spawns: number;
  /** Sets that stay because something else looks into them. */
  readonly heldSets: readonly SetName[];
}

/**
 * Runs one piece. Contention is waited out; every other failure is a WeirError that shows what the tool said
 * and the input it said it about.
 */
export async function runRestore(
  piece: RestorePiece,
  context: RestoreContext,
  signal?: AbortSignal,
): Promise<RestoreReport> {
  const heldSets: SetName[] = [];
  let { input } = piece;
  let spawns = 0;
  for (;;) {
    const command = restoreCommand(piece.tool, input, context.tools);
    // Sets had their time to be released when the first was waited for.
    const ran = await runPatiently(command, context, signal, { waitsForSets: heldSets.length === 0 });
    spawns += ran.spawns;
    if (succeeded(ran.result)) return { spawns, heldSets };
    const held = piece.leavesHeldSets === true ? heldSet(input, ran.result) : undefined;
    if (held === undefined) throw restoreError({ ...piece, input }, command, ran.result);
    heldSets.push(held.set);
    input = held.rest;
  }
}

/** The set that could not be destroyed, and the input behind its line; what stands before it is done. */
function heldSet(
  input: readonly string[],
  result: CommandResult,
): { readonly set: SetName; readonly rest: readonly string[] } | undefined {
  const line = setIsHeld.test(result.stderr) ? failedLine(result.stderr) : undefined;
  // Each text is one line here.
  const name = line === undefined ? undefined : /^destroy (\S+)/.exec(input[line - 1] ?? '')?.[1];
  return name === undefined ? undefined : { set: name as SetName, rest: input.slice(line) };
}

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
