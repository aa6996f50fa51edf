import { createHash } from 'node:crypto';
import { choiceVariable } from './rotating.ts';

/**
 * What random worlds begin with: $WEIR_SEED; or else, where the commit decides what is tested, the same for each run of one commit; or else
 * another one each time.
 */
export function worldSeed(environment: NodeJS.ProcessEnv = process.env): number {
  const { WEIR_SEED: asked, [choiceVariable]: commit } = environment;
  if (asked !== undefined) return Number(asked);
  if (commit === undefined || commit === '') return Date.now() % 0x7fff_ffff;
  return createHash('sha256').update(commit).digest().readUInt32BE(0) % 0x7fff_ffff;
}

/** Numbers from 0 up to 1 that are the same in every run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
