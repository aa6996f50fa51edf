import type { CommandResult, CommandRunner } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import { failureText, isContention, isUnprivileged, succeeded } from './command-failure.ts';

/** iptables-nft-save takes 17 s for 170,000 rules in 60,000 chains. */
export const showPatienceMs = 120_000;

export interface ShowOptions {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a program prints of the kernel. Throws a WeirError when that may not be all, or the signal's reason. */
export async function show(
  commands: CommandRunner,
  file: string,
  args: readonly string[],
  { timeoutMs = showPatienceMs, signal }: ShowOptions = {},
): Promise<string> {
  const result = await commands.run({ file, args, captureOutput: true, timeoutMs }, signal);
  if (succeeded(result)) return result.stdout;
  throw showError(file, args, result);
}

/** What is thrown where a program could not show what it was asked for. */
export function showError(file: string, args: readonly string[], result: CommandResult): WeirError {
  const message = `${[file, ...args].join(' ')}: ${failureText(result)}`;
  if (isContention(result)) return new WeirError('WEIR_LOCK_HELD', message);
  if (isUnprivileged(result)) return new WeirError('WEIR_NOT_PRIVILEGED', message);
  if (result.spawnError !== 'ENOENT') return new WeirError('WEIR_SAVE_FAILED', message);
  return new WeirError(file === 'ipset' ? 'WEIR_NO_IPSET' : 'WEIR_NO_IPTABLES', message);
}
