import type { Clock } from './clock.ts';

/** Whether that many milliseconds passed, and the signal did not end the wait. Never rejects. */
export function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  return clock.sleep(ms, signal).then(
    () => true,
    () => false,
  );
}
