import { beforeEach, describe, expect, test } from 'vitest';
import { BuiltinChains } from './builtin-chains.ts';
import type { Jump } from './jumps.ts';
import { chainName, setName } from './names.ts';
import { parseIptablesSave } from './parse-iptables-save.ts';
import { isEmptyPlan, type Plan } from './plan.ts';
import { planTogether } from './plan-together.ts';
import { RuleState } from './rule-state.ts';

const policyJump: Jump = jump('WEIR-FORWARD', 'first');
const serviceJumps = [jump('KUBE-FORWARD', 'reachable'), jump('KUBE-SERVICES', 'reachable')];

function jump(target: string, position: Jump['position']): Jump {
  return { table: 'filter', builtin: 'FORWARD', rule: `-j ${target}`, target, position };
}

let builtins: BuiltinChains;
let policies: RuleState;
let services: RuleState;

beforeEach(() => {
  builtins = new BuiltinChains();
  const own = (prefix: string) => (_: string, name: string) => (name.startsWith(prefix) ? 'own' : 'foreign');
  policies = new RuleState(
    'IPv4',
    { tables: ['filter'], chain: own('WEIR-'), jump: () => true, set: (name) => name.startsWith('WEIR-4-P') },
    builtins,
  );
  services = new RuleState(
    'IPv4',
    {
      chain: own('KUBE-'),
      jump: () => true,
      set: (name) => name.startsWith('WEIR-4-S'),
      staysAhead: (target) => target === 'WEIR-FORWARD',
    },
    builtins,
  );
});

/** The FORWARD chain of the kernel, read by these parts. */
function read(lines: readonly string[], ...states: readonly RuleState[]): void {
  const text = [
    '*filter',
    ':FORWARD ACCEPT [0:0]',
    ...lines.map((line) => `-A FORWARD ${line}`),
    'COMMIT',
    '',
  ];
  for (const state of states)
    state.replaceApplied({ tables: parseIptablesSave(text.join('\n')), sets: new Map() });
}

function apply({ plans, whole }: ReturnType<typeof planTogether>): Plan {
  for (const [index, plan] of plans.entries()) [policies, services][index]?.applied(plan);
  return whole;
}

const forward = (): readonly string[] => builtins.lines('filter', 'FORWARD');

describe('two parts in one write', () => {
  test('are one plan in the order in which one part would be written', () => {
    for (const [state, prefix] of [
      [policies, 'P'],
      [services, 'S'],
    ] as const) {
      const name = setName(`WEIR-4-${prefix}`);
      state.defineSet({ name, type: 'hash:ip', family: 'IPv4', maxElements: 8 });
      state.addMember(name, '10.0.0.1');
    }
    services.setChain('nat', chainName('KUBE-SERVICES'), '', 200);
    services.setChain('filter', chainName('KUBE-FORWARD'), '', 0);
    policies.setChain('filter', chainName('WEIR-FORWARD'), '', 170);
    const whole = apply(planTogether([policies, services]));
    expect(whole.createSets.map(({ name }) => name)).toEqual(['WEIR-4-P', 'WEIR-4-S']);
    expect(whole.addMembers.map(({ set }) => set)).toEqual(['WEIR-4-P', 'WEIR-4-S']);
    expect(whole.writeChains.map(({ name }) => name)).toEqual([
      'KUBE-FORWARD',
      'WEIR-FORWARD',
      'KUBE-SERVICES',
    ]);
    expect(isEmptyPlan(planTogether([policies, services]).whole)).toBe(true);
  });

  test.each<[string, readonly string[]]>([
    ['on an empty chain', []],
    ['before rules of others', ['-j CNI', '-j DROP']],
    ['where the jump of policies is there', [policyJump.rule, '-j CNI']],
    ['where the jump of policies is behind others', ['-j CNI', policyJump.rule, '-j ACCEPT']],
    ['where the jump of policies is there twice', [policyJump.rule, '-j CNI', policyJump.rule]],
    [
      'where all of both are there in the wrong order',
      [...serviceJumps.map(({ rule }) => rule), policyJump.rule],
    ],
    [
      'where a rule ends the chain before all',
      ['-j ACCEPT', policyJump.rule, ...serviceJumps.map(({ rule }) => rule)],
    ],
  ])(
    '%s: the jump of policies stands first, ours of Services behind it, and there is nothing left to do',
    (_, lines) => {
      read(lines, policies, services);
      policies.setJumps([policyJump]);
      services.setJumps(serviceJumps);
      apply(planTogether([policies, services]));
      expect(forward()[0]).toBe(policyJump.rule);
      expect(forward().filter((line) => / (KUBE|WEIR)-/.test(line))).toEqual(
        [policyJump, ...serviceJumps].map(({ rule }) => rule),
      );
      expect(forward().filter((line) => !/ (KUBE|WEIR)-/.test(line))).toEqual(
        lines.filter((line) => !/ (KUBE|WEIR)-/.test(line)),
      );
      expect(isEmptyPlan(planTogether([policies, services]).whole)).toBe(true);
    },
  );
});

describe('one part after the other', () => {
  test('Services insert behind the jump of policies, and touch nothing of theirs', () => {
    read([policyJump.rule, '-j CNI'], policies, services);
    policies.setJumps([policyJump]);
    services.setJumps(serviceJumps);
    const plan = services.plan();
    expect(plan.jumps.map(({ kind, at, rule }) => [kind, at, rule])).toEqual([
      ['insert', 2, '-j KUBE-FORWARD'],
      ['insert', 3, '-j KUBE-SERVICES'],
    ]);
    services.applied(plan);
    expect(isEmptyPlan(policies.plan())).toBe(true);
  });

  test('what one part has written or read of the chain, the other knows', () => {
    read(['-j CNI'], policies, services);
    services.setJumps(serviceJumps);
    services.applied(services.plan());
    policies.setJumps([policyJump]);
    policies.applied(policies.plan());
    expect(forward()).toEqual([policyJump, ...serviceJumps].map(({ rule }) => rule).concat('-j CNI'));
    read(['-j CNI'], policies);
    expect(services.plan().jumps).toHaveLength(2);
  });

  test('policies that go leave the jumps of Services alone', () => {
    read([policyJump.rule, ...serviceJumps.map(({ rule }) => rule)], policies, services);
    services.setJumps(serviceJumps);
    policies.applied(policies.plan());
    expect(forward()).toEqual(serviceJumps.map(({ rule }) => rule));
    expect(isEmptyPlan(services.plan())).toBe(true);
  });
});
