import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Below this V8's own pace is good enough; collecting costs tens of milliseconds. */
const worthwhileBytes = 80_000_000;

/**
 * Gives memory back after a burst of short-lived objects, such as the first look at a big cluster: V8 would keep two to
 * three times of what lives, since nothing presses it. Does nothing on a heap smaller than `fromBytes`.
 */
export function collectGarbage(fromBytes = worthwhileBytes): void {
  if (process.memoryUsage().heapUsed < fromBytes) return;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (() => void) | undefined;
  collect?.();
}
