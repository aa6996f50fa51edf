import type { CommandResult } from '../runtime/index.ts';
import { isRefusal, objections, succeeded } from './command-failure.ts';
import type { Attempt } from './refused-among.ts';

/** What a restore of `count` elements says of them. `indexOf`: the element in a line of its input, counted from 1; any other number for a line that has none. */
export function attemptOf(result: CommandResult, indexOf: (line: number) => number, count: number): Attempt {
  if (succeeded(result)) return { outcome: 'accepted' };
  if (!isRefusal(result)) return { outcome: 'inconclusive' };
  const said = objections(result.stderr);
  const named = said.flatMap(({ line, why }) => {
    const index = line === undefined ? -1 : indexOf(line);
    return index >= 0 && index < count ? [{ index, why }] : [];
  });
  return { outcome: 'refused', named, why: said[0]?.why ?? '' };
}
