import { performance } from 'node:perf_hooks';
import type { Clock } from './clock.ts';

/** What setTimeout can take; longer sleeps would fire at once. */
const longestTimeout = 2 ** 31 - 1;

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const timer = setTimeout(
      () => {
        signal?.removeEventListener('abort', fail);
        resolve();
      },
      Math.min(Math.max(ms, 0), longestTimeout),
    );
    signal?.addEventListener('abort', fail, { once: true });
  });
}

/** The machine's own monotonic clock. A sleep is cut at 24 days, the limit of the platform. */
export const systemClock: Clock = { now: () => performance.now(), sleep };
