import type { PolicyType } from '../../api/index.ts';
import { type Match, printRule, type Rule } from '../../kernel/index.ts';
import { canonicalCidr, type Family } from '../../net/index.ts';
import { closedAddressesSet, forwardChain, knownPodsSet } from './policy-names.ts';

/** What is closed while no known pod owns it, besides the addresses of the set of closed addresses. */
export interface StartGuard {
  /** Canonical CIDRs of the family. */
  readonly ranges: readonly string[];
}

/** A rule of the guard. */
export interface GuardRule {
  readonly rule: Rule;
  /** `Egress`: of what unknown addresses send. */
  readonly direction: PolicyType;
  /** `undefined`: the set of closed addresses. */
  readonly range: string | undefined;
}

/** Packets that a rule of the guard dropped since it was last written. */
export interface GuardDrops extends Omit<GuardRule, 'rule'> {
  readonly packets: number;
}

/** Silent whatever the mode of denial is: a SYN that gets no answer is sent again, when the pod may be known. */
export function guardRules(family: Family, { ranges }: StartGuard): readonly GuardRule[] {
  const { name: set } = closedAddressesSet(family);
  const closed = directions.map(
    ([direction, flags]): GuardRule => ({
      rule: { matches: [{ kind: 'set', set, flags }], target: { kind: 'drop' } },
      direction,
      range: undefined,
    }),
  );
  return [...rangeGuardRules(family, ranges), ...closed];
}

/** Those of the ranges alone. */
export function rangeGuardRules(family: Family, ranges: readonly string[]): readonly GuardRule[] {
  const { name: set } = knownPodsSet(family);
  return ranges.flatMap((range) =>
    directions.map(([direction, flags]): GuardRule => {
      const end: Match = { kind: direction === 'Egress' ? 'source' : 'destination', cidr: range };
      const unknown: Match = { kind: 'set', set, flags, negated: true };
      return { rule: { matches: [end, unknown], target: { kind: 'drop' } }, direction, range };
    }),
  );
}

/** What the guard dropped, of what `iptables-save -c` prints of the filter table of a family, whoever wrote its rules. */
export function parseGuardDrops(saved: string, family: Family): readonly GuardDrops[] {
  return [...saved.matchAll(counted)].flatMap(([, packets, text = '']) => {
    const rule = parseGuardRule(text, family);
    if (rule === undefined) return [];
    return [{ direction: rule.direction, range: rule.range, packets: Number(packets) }];
  });
}

/** `[packets:bytes] -A CHAIN RULE` */
const counted = new RegExp(`^\\[(\\d+):\\d+\\] -A ${forwardChain} (.*\\S)\\s*$`, 'gmu');

/** Its rule is rebuilt from what was found in the text and compared: what is written here is what is recognised. */
function parseGuardRule(text: string, family: Family): GuardRule | undefined {
  const [, block] = /^-[sd] (\S+) /.exec(text) ?? [];
  const range = block === undefined ? undefined : canonicalCidr(block);
  return guardRules(family, { ranges: range === undefined ? [] : [range] }).find(
    ({ rule }) => printRule(rule) === text,
  );
}

/** In the order of a packet's life: it leaves one pod and enters another. */
const directions: readonly (readonly [PolicyType, string])[] = [
  ['Egress', 'src'],
  ['Ingress', 'dst'],
];
