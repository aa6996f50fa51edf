import { readFile } from 'node:fs/promises';
import { type Clock, WeirError } from '../../pkg/runtime/index.ts';

/** A ConfigMap takes the kubelet about a minute anyway. */
const pollMs = 10_000;

export interface ConfigWatch {
  readonly file: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Rejects with WEIR_CONFIG_CHANGED once the configuration file says something else than it did at first: the next start reads it.
 * By content, because the file of a ConfigMap is a link that is swapped. Resolves after an abort; a file that is gone for a while
 * has not changed.
 */
export async function watchConfig({ file, clock, signal }: ConfigWatch): Promise<void> {
  const first = await contentOf(file);
  for (;;) {
    try {
      await clock.sleep(pollMs, signal);
    } catch {
      return;
    }
    const now = await contentOf(file);
    if (now !== undefined && now !== first)
      throw new WeirError('WEIR_CONFIG_CHANGED', `${file} has changed: the next start reads it`);
  }
}

async function contentOf(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}
