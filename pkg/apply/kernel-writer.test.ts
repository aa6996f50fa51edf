import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import type { FakeCommandRunner, FakeProgram } from '../../test/support/fake-command-runner.ts';
import { fakeCommandRunner, inputOf } from '../../test/support/fake-command-runner.ts';
import type { Plan } from '../kernel/index.ts';
import { chainName, setName } from '../kernel/index.ts';
import { KernelWriter } from './kernel-writer.ts';
import { namedTools } from './tools.ts';

function plan(chain: string): Plan {
  const set = setName('WEIR-4-A');
  return {
    family: 'IPv4',
    createSets: [{ name: set, type: 'hash:ip', family: 'IPv4', maxElements: 16 }],
    addMembers: [],
    earlyRules: [],
    writeChains: [{ table: 'nat', name: chainName(chain), rules: '-j ACCEPT', stage: 100, isNew: true }],
    jumps: [],
    removeMembers: [{ set, members: ['10.0.0.1'] }],
    deleteChains: [],
    destroySets: [],
  };
}

const fine: FakeProgram = () => ({});

function harness(programs: Readonly<Record<string, FakeProgram>> = {}): {
  writer: KernelWriter;
  commands: FakeCommandRunner;
} {
  const commands = fakeCommandRunner({
    ipset: fine,
    'iptables-nft-restore': fine,
    'iptables-nft-save': fine,
    ...programs,
  });
  const tools = namedTools('IPv4', 'nft');
  return {
    commands,
    writer: new KernelWriter({ tools, commands, clock: new FakeClock(), onContention: () => undefined }),
  };
}

test('runs sets, rules and removals in this order and reports what it took', async () => {
  const { writer, commands } = harness();
  const report = await writer.apply(plan('A'));
  expect(commands.lines).toEqual([
    'ipset restore -exist',
    'iptables-nft-restore --noflush -w 5',
    'ipset restore -exist',
  ]);
  const bytes = commands.ran
    .map((command) => inputOf(command).length)
    .reduce((sum, length) => sum + length, 0);
  expect(report).toEqual({ durationMs: 0, bytes, spawns: 3, pieces: 3, heldSets: [] });
});

test('runs nothing for a plan without changes', async () => {
  const { writer, commands } = harness();
  const empty = { ...plan('A'), createSets: [], writeChains: [], removeMembers: [] };
  expect(await writer.apply(empty)).toEqual({ durationMs: 0, bytes: 0, spawns: 0, pieces: 0, heldSets: [] });
  expect(commands.lines).toEqual([]);
});

test('never mixes two plans or a plan and a reading, and takes the more important first', async () => {
  const { writer, commands } = harness();
  await Promise.all([
    writer.apply(plan('FIRST')),
    writer.read(['nat'], { priority: -1 }),
    writer.apply(plan('SECOND')),
    writer.apply(plan('URGENT'), { priority: 10 }),
  ]);
  const order = commands.ran.map((command) => /^:(\S+)/m.exec(inputOf(command))?.[1] ?? command.args[0]);
  expect(order.join(' ')).toBe('restore FIRST restore restore URGENT restore restore SECOND restore save -t');
});

test('leaves out the rest of a plan after a failure, and goes on with the next', async () => {
  const failing: FakeProgram = (_, call) => (call === 0 ? { exitCode: 1, stderr: 'line 2 failed' } : {});
  const { writer, commands } = harness({ 'iptables-nft-restore': failing });
  const first = writer.apply(plan('A'));
  const second = writer.apply(plan('B'));
  await expect(first).rejects.toMatchObject({ code: 'WEIR_RESTORE_FAILED' });
  await expect(second).resolves.toMatchObject({ pieces: 3 });
  expect(commands.lines).toHaveLength(2 + 3);
});

test('abandons a plan between two pieces', async () => {
  const abort = new AbortController();
  const { writer, commands } = harness({
    'iptables-nft-restore': () => {
      abort.abort(new Error('shutting down'));
      return {};
    },
  });
  const waiting = writer.apply(plan('A'), { signal: abort.signal });
  const never = writer.apply(plan('B'), { signal: abort.signal });
  await expect(waiting).rejects.toThrow('shutting down');
  await expect(never).rejects.toThrow('shutting down');
  expect(commands.lines).toHaveLength(2);
});

test('refuses a plan of the other family', async () => {
  const { writer } = harness();
  await expect(async () => writer.apply({ ...plan('A'), family: 'IPv6' })).rejects.toMatchObject({
    code: 'WEIR_BUG',
  });
});

test('is idle when everything has ended', async () => {
  const { writer, commands } = harness();
  const applied = writer.apply(plan('A'));
  await writer.idle();
  expect(commands.lines).toHaveLength(3);
  await applied;
});

test('counts what writes, so that others know a write from a read', async () => {
  const { writer } = harness();
  await writer.apply(plan('A'));
  expect(writer.writeSteps).toBe(2);
  await writer.read(['nat']);
  expect(writer.writeSteps).toBe(2);
  // An empty table is tried.
  await writer.read(['nat'], { available: true });
  expect(writer.writeSteps).toBe(4);
});
