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

/** Whose the rules of a built-in chain are that lead into chains of ours. */
export interface JumpOwnership {
  /** Whether a target chain belongs to us. */
  readonly isOurs: (target: string) => boolean;
  /** Whether a rule that leads into such a chain, in the spelling of `printRule`, is one that Weir or kube-proxy writes. */
  readonly isKnown: (rule: string) => boolean;
  /** Rules of another part of Weir that lead into such a chain stay in front of all that is inserted. */
  readonly staysAhead: (target: string) => boolean;
}

/**
 * A built-in chain's rules that are ours, in the spelling of `printRule`; `undefined` for those of others. Other versions of iptables spell some
 * rules differently; only a difference in meaning counts. Who leads traffic of his own choice into a chain of ours keeps his rule.
 */
function ownRules(
  jumps: readonly Jump[],
  lines: readonly string[],
  { isOurs, isKnown }: JumpOwnership,
): readonly (string | undefined)[] {
  const wanted = new Set(jumps.map((jump) => jump.rule));
  const targets = new Set(jumps.map((jump) => jump.target));
  return lines.map((line) => {
    if (wanted.has(line)) return line;
    const target = targetOf(line);
    if (!targets.has(target) && !isOurs(target)) return undefined;
    const rule = normalizeRule(line);
    return wanted.has(rule) || (isOurs(target) && isKnown(rule)) ? rule : undefined;
  });
}

/** A built-in chain's rules that are not ours, as they are written. */
export function foreignRules(
  jumps: readonly Jump[],
  lines: readonly string[],
  owner: JumpOwnership,
): readonly string[] {
  const own = ownRules(jumps, lines, owner);
  return lines.filter((_, index) => own[index] === undefined);
}

/**
 * What must change in one built-in chain so that it holds `jumps`, in this order and each once. If anything is wrong,
 * all of ours are taken out and put at the top again in one transaction, behind those of ours that stay ahead; rules of others are
 * never touched.
 *
 * @param lines the chain's rule bodies as they are
 * @param owner what else is ours: such rules that are not among `jumps` are leftovers and go
 */
export function planJumps(
  table: TableName,
  builtin: string,
  jumps: readonly Jump[],
  lines: readonly string[],
  owner: JumpOwnership,
): readonly JumpChange[] {
  const own = ownRules(jumps, lines, owner);
  const present = lines.filter((_, index) => own[index] !== undefined);
  const reason = whatIsWrong(
    jumps,
    lines.map((line, index) => own[index] ?? line),
    own.filter((rule) => rule !== undefined),
  );
  if (reason === undefined) return [];
  const ahead = foreignRules(jumps, lines, owner).findLastIndex((line) => owner.staysAhead(targetOf(line)));
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
