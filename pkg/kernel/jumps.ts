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
export function endsChainForAll(body: string): boolean {
  return endsChain.test(body.replaceAll(quoted, '""').replaceAll(comment, ''));
}

/** Whose a jump is, by the chain that it leads to. */
export interface JumpOwnership {
  /** Such rules that are not among the wanted jumps are leftovers and go. */
  readonly isOurs: (target: string) => boolean;
  /** Such rules of another part of Weir stay in front of all that is inserted. */
  readonly staysAhead: (target: string) => boolean;
}

/**
 * What must change in one built-in chain so that it holds `jumps`, in this order and each once. If anything is wrong,
 * all of ours are taken out and put at the top again in one transaction, behind those of ours that stay ahead; rules of others are
 * never touched.
 *
 * @param lines the chain's rule bodies as they are
 */
export function planJumps(
  table: TableName,
  builtin: string,
  jumps: readonly Jump[],
  lines: readonly string[],
  { isOurs, staysAhead }: JumpOwnership,
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
  const ahead = lines.filter((line) => !isPresent(line)).findLastIndex((line) => staysAhead(targetOf(line)));
  const insert = ({ rule }: Jump) => ({ kind: 'insert', table, builtin, rule, reason }) as const;
  return [
    ...present.map((rule) => ({ kind: 'delete', table, builtin, rule, reason }) as const),
    ...(ahead === -1
      ? jumps.toReversed().map(insert)
      : // Top-down: each goes in front of a rule that the kernel has already.
        jumps.map((jump, index) => ({ ...insert(jump), at: ahead + 2 + index }))),
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
    if (change.kind === 'insert') result.splice((change.at ?? 1) - 1, 0, change.rule);
    else {
      const index = result.indexOf(change.rule);
      if (index !== -1) result.splice(index, 1);
    }
  }
  return result;
}
