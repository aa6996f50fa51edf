import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyJumpChanges, foreignRules, type Jump, planJumps, targetOf } from './jumps.ts';

const guard: Jump = jump('OWN-GUARD', 'reachable');
const services: Jump = jump(
  'OWN-SERVICES',
  'reachable',
  '-m conntrack --ctstate NEW -m comment --comment "our portals" ',
);
const policy: Jump = jump('OWN-POLICY', 'first');
const both = [guard, services];

function jump(target: string, position: Jump['position'], matches = ''): Jump {
  return { table: 'filter', builtin: 'FORWARD', rule: `${matches}-j ${target}`, target, position };
}

const isOurs = (target: string): boolean => target.startsWith('OWN-');
const staysAhead = (target: string): boolean => target.startsWith('AHEAD');
const old = '-m comment --comment "as before" -j OWN-OLD';
const known: ReadonlySet<string> = new Set([guard.rule, services.rule, policy.rule, old]);
const owner = { isOurs, staysAhead, isKnown: (rule: string) => known.has(rule) };

function changes(jumps: readonly Jump[], lines: readonly string[]): ReturnType<typeof planJumps> {
  return planJumps('filter', 'FORWARD', jumps, lines, owner);
}

function after(jumps: readonly Jump[], lines: readonly string[]): readonly string[] {
  return applyJumpChanges(lines, changes(jumps, lines));
}

describe('nothing is done', () => {
  test.each<[string, readonly Jump[], readonly string[]]>([
    ['when all jumps stand in their order', both, [guard.rule, services.rule]],
    [
      'when foreign rules stand before, between and behind',
      both,
      ['-j CNI', guard.rule, '-i x -j DROP', services.rule, '-j DROP'],
    ],
    [
      'when a foreign rule drops some packets before',
      both,
      ['-s 10.0.0.0/8 -j DROP', guard.rule, services.rule],
    ],
    [
      'when a rule before only counts, marks or logs',
      both,
      ['', '-j LOG', '-j MARK --set-xmark 0x1/0x1', ...both.map((one) => one.rule)],
    ],
    [
      'when the rule that ends the chain stands behind',
      both,
      [guard.rule, services.rule, '-j REJECT --reject-with icmp-host-prohibited'],
    ],
    ['when none is wanted and none is there', [], ['-j CNI', '-j DROP']],
    ['when what must be first is first', [policy, guard], [policy.rule, '-j CNI', guard.rule]],
    [
      'when a comment of somebody else speaks of our chain',
      [guard],
      [guard.rule, '-m comment --comment "before -j OWN-GUARD x" -j ACCEPT'],
    ],
    [
      'when somebody leads traffic of his choice into chains of ours',
      both,
      [guard.rule, '-p tcp -j OWN-SERVICES', services.rule, '-s 10.0.0.0/8 -g OWN-GUARD', '-j OWN-SERVICES'],
    ],
    [
      'when another version of iptables spells a jump in another way',
      [services],
      ['-m state --state NEW -m comment --comment "our portals" -j OWN-SERVICES'],
    ],
  ])('%s', (_, jumps, lines) => {
    expect(changes(jumps, lines)).toEqual([]);
  });
});

describe('all jumps are put at the top again', () => {
  test.each<[string, string, readonly Jump[], readonly string[]]>([
    ['when all are missing', 'missing', both, ['-j CNI', '-j DROP']],
    ['in an empty chain', 'missing', both, []],
    ['when one is missing', 'missing', both, ['-j CNI', guard.rule]],
    [
      'when one is there twice',
      'left over or twice',
      both,
      [guard.rule, '-j CNI', services.rule, guard.rule],
    ],
    ['when one is left over', 'left over or twice', [guard], [guard.rule, services.rule]],
    ['when one has other conditions', 'missing', both, [guard.rule, '-p tcp -j OWN-SERVICES']],
    ['when they are out of order', 'out of order', both, [services.rule, guard.rule]],
    [
      'when they stand behind a bare DROP',
      'behind a rule that ends the chain',
      both,
      ['-j DROP', ...both.map((one) => one.rule)],
    ],
    [
      'when one of them stands behind a bare ACCEPT',
      'behind a rule that ends the chain',
      both,
      [guard.rule, '-j ACCEPT', services.rule],
    ],
    [
      'when the DROP before them has a comment and no condition',
      'behind a rule that ends the chain',
      both,
      ['-m comment --comment "drop -i all" -j DROP', ...both.map((one) => one.rule)],
    ],
    [
      'when the comment is one word',
      'behind a rule that ends the chain',
      both,
      [
        '-m comment --comment bye -j REJECT --reject-with icmp-host-prohibited',
        ...both.map((one) => one.rule),
      ],
    ],
    [
      'when they stand behind a bare MASQUERADE',
      'behind a rule that ends the chain',
      both,
      ['-j MASQUERADE', ...both.map((one) => one.rule)],
    ],
    [
      'when somebody stands before what must be first',
      'not first',
      [policy, guard],
      ['-j CNI', policy.rule, guard.rule],
    ],
  ])('%s', (_, reason, jumps, lines) => {
    const plan = changes(jumps, lines);
    expect(new Set(plan.map((change) => change.reason))).toEqual(new Set([reason]));
    const kinds = plan.map((change) => change.kind);
    expect(kinds, 'a delete behind an insert would hit the new rule').toEqual(kinds.toSorted());
    expect(after(jumps, lines)).toEqual([...jumps.map((one) => one.rule), ...foreignRules([], lines, owner)]);
  });

  test('jumps that are not wanted any more go, in whatever spelling, and nothing comes', () => {
    const spelt = "-m comment --comment 'as before' --jump OWN-OLD".replaceAll("'", '"');
    expect(changes([], ['-j CNI', guard.rule, spelt])).toEqual([
      { kind: 'delete', table: 'filter', builtin: 'FORWARD', rule: guard.rule, reason: 'left over or twice' },
      { kind: 'delete', table: 'filter', builtin: 'FORWARD', rule: spelt, reason: 'left over or twice' },
    ]);
  });

  test('a shared chain’s jump that is wanted once is not kept twice, one that is not wanted stays', () => {
    const shared = jump('SHARED', 'reachable');
    expect(after([shared], [shared.rule, '-j CNI', shared.rule])).toEqual([shared.rule, '-j CNI']);
    expect(changes([guard], [guard.rule, shared.rule])).toEqual([]);
  });
});

describe('behind the jump of another part that stays ahead', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['alone', ['-j AHEAD'], ['-j AHEAD', ...both.map(({ rule }) => rule)]],
    [
      'with others behind it',
      ['-j AHEAD', '-j CNI', '-j DROP'],
      ['-j AHEAD', ...both.map(({ rule }) => rule), '-j CNI', '-j DROP'],
    ],
    [
      'with some of ours around it',
      [services.rule, '-j AHEAD', guard.rule, '-j CNI'],
      ['-j AHEAD', ...both.map(({ rule }) => rule), '-j CNI'],
    ],
    [
      'that somebody displaced',
      ['-j CNI', '-j AHEAD', '-j OTHER'],
      ['-j CNI', '-j AHEAD', ...both.map(({ rule }) => rule), '-j OTHER'],
    ],
  ])('%s', (_, lines, result) => {
    expect(after(both, lines)).toEqual(result);
    expect(changes(both, result)).toEqual([]);
    // Never in front of it, not for a moment.
    const planned = changes(both, lines);
    for (const [index, { kind, rule }] of planned.entries()) {
      const chain = applyJumpChanges(lines, planned.slice(0, index + 1));
      expect(kind === 'insert' && chain.indexOf(rule) < chain.indexOf('-j AHEAD')).toBe(false);
    }
  });

  test('ours may stand in front of it: that is no reason to touch them', () => {
    expect(changes(both, [guard.rule, services.rule, '-j AHEAD'])).toEqual([]);
  });
});

test('whatever stands in the chain: afterwards ours stand right, others as before, and there is nothing left to do', () => {
  const line = fc.constantFrom(
    guard.rule,
    services.rule,
    policy.rule,
    '-p tcp -j OWN-GUARD',
    '-j OWN-OLD',
    old,
    '-j CNI',
    '-j DROP',
    '-i x -j ACCEPT',
  );
  fc.assert(
    fc.property(fc.array(line), fc.shuffledSubarray([policy, guard, services]), (lines, picked) => {
      const jumps = picked.toSorted((a, b) => (a.position < b.position ? -1 : 1));
      const result = after(jumps, lines);
      expect(changes(jumps, result)).toEqual([]);
      expect(result.filter((one) => known.has(one))).toEqual(jumps.map((one) => one.rule));
      const foreign = (list: readonly string[]): readonly string[] => list.filter((one) => !known.has(one));
      expect(foreign(result)).toEqual(foreign(lines));
    }),
  );
});

describe('targetOf', () => {
  test.each([
    ['-j KUBE-SERVICES', 'KUBE-SERVICES'],
    ['-p tcp -m tcp --dport 80 -g ELSEWHERE', 'ELSEWHERE'],
    ['-j DNAT --to-destination 10.0.0.1:80', 'DNAT'],
    ['-p tcp', ''],
    ['', ''],
    ['-m comment --comment "say -j NO" -j YES', 'YES'],
    [String.raw`-m comment --comment "say \" -j NO" -j YES`, 'YES'],
    ['-m comment --comment on-j -j YES', 'YES'],
  ])('%s → %s', (body, target) => {
    expect(targetOf(body)).toBe(target);
  });
});
