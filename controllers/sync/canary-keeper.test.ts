import { beforeEach, expect, test } from 'vitest';
import type { Plan } from '../../pkg/kernel/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { CanaryKeeper } from './canary-keeper.ts';

const table = { family: 'IPv4', table: 'nat' } as const;
const signal = new AbortController().signal;

let clock: FakeClock;
let plans: Plan[];
let output: readonly string[];
let error: Error | undefined;
let problems: string[];
let keeper: CanaryKeeper;

beforeEach(() => {
  clock = new FakeClock();
  plans = [];
  output = ['-j KUBE-SERVICES'];
  error = undefined;
  problems = [];
  const writer = {
    readChain: async () => output,
    apply: async (plan: Plan) => {
      plans.push(plan);
      if (error !== undefined) throw error;
      return { durationMs: 0, bytes: 0, spawns: 1, pieces: 1, heldSets: [] };
    },
  };
  keeper = new CanaryKeeper({
    clock,
    writers: new Map([['IPv4', writer]]),
    onProblem: (problem) => problems.push(problem),
  });
});

test('writes the chain and the jump of a canary that is silent', async () => {
  await keeper.silent(table, signal);
  expect(plans).toMatchObject([
    {
      writeChains: [{ table: 'nat', name: 'WEIR-CANARY' }],
      jumps: [{ kind: 'insert', table: 'nat', builtin: 'OUTPUT' }],
      deleteChains: [],
    },
  ]);
});

test('takes an older jump of its own away, and none of others', async () => {
  const old = '-p udp -m comment --comment "weir canary" -m udp --dport 4 -j WEIR-CANARY';
  output = [old, '-p udp -j WEIR-CANARY'];
  await keeper.silent(table, signal);
  expect(plans[0]?.jumps.map(({ kind, rule }) => `${kind} ${rule}`)).toEqual([
    `delete ${old}`,
    expect.stringMatching(/^insert .* --dport 10249 -j WEIR-CANARY$/),
  ]);
});

test('writes ever less often one that cannot sing, and at once one that has sung again', async () => {
  for (let second = 0; second < 3600; second += 1) {
    await keeper.silent(table, signal);
    await clock.advance(1000);
  }
  expect(plans.length).toBeGreaterThan(5);
  expect(plans.length).toBeLessThan(20);
  plans = [];
  keeper.sings(table);
  await keeper.silent(table, signal);
  expect(plans).toHaveLength(1);
});

test('tells once that the rules cannot be written', async () => {
  error = new WeirError('WEIR_RESTORE_FAILED', 'iptables-restore: line 3 failed');
  for (let minute = 0; minute < 60; minute += 1) {
    await keeper.silent(table, signal);
    await clock.advance(60_000);
  }
  expect(plans.length).toBeGreaterThan(3);
  expect(problems).toEqual([
    'the canary of IPv4 nat cannot be written: WEIR_RESTORE_FAILED: iptables-restore: line 3 failed',
  ]);
});

test('writes nothing into a family that is not Weir´s', async () => {
  await keeper.silent({ family: 'IPv6', table: 'nat' }, signal);
  expect(plans).toEqual([]);
});
