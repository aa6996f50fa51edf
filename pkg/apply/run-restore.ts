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
import { type RestoreContext, restoreCommand, runPatiently } from './patient-run.ts';
import type { RestorePiece } from './restore-piece.ts';

/**
 * Runs one piece. Contention is waited out; every other failure is a WeirError that shows what the tool said
 * and the input it said it about. Returns the number of processes it took.
 */
export async function runRestore(
  piece: RestorePiece,
  context: RestoreContext,
  signal?: AbortSignal,
): Promise<number> {
  const command = restoreCommand(piece.tool, piece.input, context.tools);
  const { result, spawns } = await runPatiently(command, context, signal);
  if (succeeded(result)) return spawns;
  throw restoreError(piece, command, result);
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
