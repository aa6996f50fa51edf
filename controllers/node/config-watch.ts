import { readFile } from 'node:fs/promises';
import { type Clock, slept, WeirError } from '../../pkg/runtime/index.ts';

/** A ConfigMap takes the kubelet about a minute anyway. */
const pollMs = 10_000;

export interface ConfigWatch {
  readonly file: string;
  /** What it said when it was read. */
  readonly text: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Rejects with WEIR_CONFIG_CHANGED once the configuration file says something else than it did when it was read: the next start reads it.
 * By content, because the file of a ConfigMap is a link that is swapped. Resolves after an abort; a file that is gone for a while
 * has not changed.
 */
export async function watchConfig({ file, text, clock, signal }: ConfigWatch): Promise<void> {
  while (await slept(clock, pollMs, signal)) {
    const now = await contentOf(file);
    if (now !== undefined && now !== text)
      throw new WeirError('WEIR_CONFIG_CHANGED', `${file} has changed: the next start reads it`);
  }
}

async function contentOf(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}
