import { expect, test } from 'vitest';
import { chainName, type Plan, RuleState, type SetName, setName } from '../../pkg/kernel/index.ts';
import { logWrite } from './log-write.ts';

const chains = Array.from({ length: 9 }, (_, index) => chainName(`KUBE-SVC-${index}`));

function planFor(count: number): Plan {
  const state = new RuleState('IPv4', { chain: () => 'own', jump: () => false, set: () => false });
  for (const name of chains.slice(0, count)) state.setChain('nat', name, '-j RETURN', 1);
  return state.plan();
}

function warnings(plan: Plan, isRepair: boolean, heldSets: readonly SetName[] = []): readonly string[] {
  const told: string[] = [];
  const log = { info: () => undefined, warn: (message: string) => void told.push(message) };
  logWrite(log, plan, { part: 'services', isRepair, touched: { services: 0 }, totalMs: 1, heldSets });
  return told;
}

test('says what somebody else had changed', () => {
  expect(warnings(planFor(2), true)).toEqual([
    'IPv4 rules were changed by somebody else: repaired nat KUBE-SVC-0, nat KUBE-SVC-1',
  ]);
});

test('counts what would make the line too long', () => {
  expect(warnings(planFor(9), true)).toEqual([
    'IPv4 rules were changed by somebody else: repaired nat KUBE-SVC-0, nat KUBE-SVC-1, nat KUBE-SVC-2, nat KUBE-SVC-3, nat KUBE-SVC-4, nat KUBE-SVC-5 and 3 more',
  ]);
});

test('blames nobody for its own work', () => {
  expect(warnings(planFor(2), false)).toEqual([]);
});

test.each([
  ['services', { services: 2 }, 'IPv4 service rules written'],
  ['policies', { policies: 1, pods: 3, namespaces: 0 }, 'IPv4 policy rules written'],
] as const)('counts for %s what that part looked at and wrote', (part, touched, message) => {
  const told: unknown[] = [];
  const log = { info: (...line: unknown[]) => void told.push(line), warn: () => undefined };
  logWrite(log, planFor(2), { part, isRepair: false, touched, totalMs: 12.34 });
  const written = { chains: 2, chainsDeleted: 0, members: 0, membersRemoved: 0, milliseconds: 12.3 };
  expect(told).toEqual([[message, { ...touched, ...written }]]);
});

test('names a set that could not go', () => {
  expect(warnings(planFor(1), false, [setName('WEIR-4-OLD')])).toEqual([
    expect.stringMatching(/^IPv4 set WEIR-4-OLD is not needed any more, but can not be removed/),
  ]);
});
