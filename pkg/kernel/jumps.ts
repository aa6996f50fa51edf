import type { TableName } from './names.ts';
import { normalizeRule } from './normalize-rule.ts';
import type { JumpChange } from './plan.ts';

/** A rule of ours in a built-in chain, which leads into an own chain. */
export interface Jump {
  readonly table: TableName;
  readonly builtin: string;
  /** Rule body; the text is also what tells it from others. */
  readonly rule: string;
  /** The chain it leads to. */
  readonly target: string;
  /**
   * `first`: nothing may stand in front of it. `reachable`: foreign rules may stand in front, as long as none of them
   * ends the chain for every packet.
   */
  readonly position: 'first' | 'reachable';
}

const endsChain = /^-j (ACCEPT|DROP|REJECT|RETURN|QUEUE|NFQUEUE|DNAT|SNAT|MASQUERADE|REDIRECT)\b/;
const quoted = /"(?:[^"\\]|\\.)*"/gu;
const comment = /-m comment --comment \S+ ?/gu;

/** The chain that a rule body jumps or goes to; empty where it has no target. What a comment says does not count. */
export function targetOf(body: string): string {
  const words = body.includes('"') ? body.replaceAll(quoted, '""') : body;
  return /(?:^| )(?:-[jg]|--jump|--goto) (\S+)/u.exec(words)?.[1] ?? '';
}

/** Whether no packet gets past the rule: it has a final target and no condition. A comment is none. */
function endsChainForAll(body: string): boolean {
  return endsChain.test(body.replaceAll(quoted, '""').replaceAll(comment, ''));
}

/**
 * What must change in one built-in chain so that it holds `jumps`, in this order and each once. If anything is wrong,
 * all of ours are taken out and put at the top again in one transaction; rules of others are never touched.
 *
 * @param lines the chain's rule bodies as they are
 * @param isOurs whether a target chain belongs to us: such rules that are not among `jumps` are leftovers and go
 */
export function planJumps(
  table: TableName,
  builtin: string,
  jumps: readonly Jump[],
  lines: readonly string[],
  isOurs: (target: string) => boolean,
): readonly JumpChange[] {
  const wanted = new Set(jumps.map((jump) => jump.rule));
  const targets = new Set(jumps.map((jump) => jump.target));
  const isPresent = (line: string): boolean =>
    wanted.has(line) || targets.has(targetOf(line)) || isOurs(targetOf(line));
  const present = lines.filter(isPresent);
  // Other versions of iptables spell some rules differently; only a difference in meaning counts.
  const asWeSpell = lines.map((line) => (!wanted.has(line) && isPresent(line) ? normalizeRule(line) : line));
  const reason = whatIsWrong(
    jumps,
    asWeSpell,
    asWeSpell.filter((_, index) => isPresent(lines[index] ?? '')),
  );
  if (reason === undefined) return [];
  return [
    ...present.map((rule) => ({ kind: 'delete', table, builtin, rule, reason }) as const),
    ...jumps
      .toReversed()
      .map((jump) => ({ kind: 'insert', table, builtin, rule: jump.rule, reason }) as const),
  ];
}

function whatIsWrong(
  jumps: readonly Jump[],
  lines: readonly string[],
  present: readonly string[],
): string | undefined {
  if (jumps.some((jump) => !present.includes(jump.rule))) return 'missing';
  if (present.length > jumps.length) return 'left over or twice';
  if (present.some((line, index) => line !== jumps[index]?.rule)) return 'out of order';
  const leading = jumps.filter((jump) => jump.position === 'first');
  if (leading.some((jump, index) => lines[index] !== jump.rule)) return 'not first';
  const last = jumps.at(-1);
  const end = lines.findIndex(endsChainForAll);
  if (last !== undefined && end !== -1 && end < lines.indexOf(last.rule))
    return 'behind a rule that ends the chain';
  return undefined;
}

/** The chain's lines after the changes. */
export function applyJumpChanges(
  lines: readonly string[],
  changes: readonly JumpChange[],
): readonly string[] {
  const result = [...lines];
  for (const change of changes) {
    if (change.kind === 'insert') result.unshift(change.rule);
    else {
      const index = result.indexOf(change.rule);
      if (index !== -1) result.splice(index, 1);
    }
  }
  return result;
}
