import { endsChainForAll, type Jump, targetOf } from './jumps.ts';
import { normalizeRule } from './normalize-rule.ts';

/** What others did since Weir last wrote or read. `displaced`: no more than a rule in front of a jump that must be first. */
export type Drift = 'nothing' | 'displaced' | 'changed';

/**
 * What others did to our jumps in one built-in chain between two looks at it. It compares with how the chain was left, not with
 * what is wanted: a change that is not written yet is nobody's drift.
 *
 * @param jumps those that are wanted in the chain
 * @param left the chain's rule bodies as they were left
 * @param lines as they are
 * @param isOurs whether a target chain belongs to us
 */
export function jumpDrift(
  jumps: readonly Jump[],
  left: readonly string[],
  lines: readonly string[],
  isOurs: (target: string) => boolean,
): Drift {
  const targets = new Set(jumps.map(({ target }) => target));
  const isOurLine = (line: string): boolean => isOurs(targetOf(line)) || targets.has(targetOf(line));
  const before = left.filter(isOurLine);
  const after = lines.filter(isOurLine);
  if (before.length !== after.length) return 'changed';
  if (before.some((line, index) => !isSameLine(line, after[index] ?? ''))) return 'changed';
  if (after.length === 0) return 'nothing';
  if (areCutOff(lines, isOurLine) && !areCutOff(left, isOurLine)) return 'changed';
  const mustBeFirst = jumps.some(({ position }) => position === 'first');
  return mustBeFirst && !isOurLine(lines[0] ?? '') ? 'displaced' : 'nothing';
}

/** Other versions of iptables spell some rules differently; only a difference in meaning counts. */
function isSameLine(a: string, b: string): boolean {
  return a === b || normalizeRule(a) === normalizeRule(b);
}

/** Whether a rule that ends the chain for every packet stands in front of the last of our jumps. */
function areCutOff(lines: readonly string[], isOurLine: (line: string) => boolean): boolean {
  const end = lines.findIndex(endsChainForAll);
  return end !== -1 && end < lines.findLastIndex(isOurLine);
}
