import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import type { FakeProgram } from '../../test/support/fake-command-runner.ts';
import { fakeCommandRunner, inputOf } from '../../test/support/fake-command-runner.ts';
import type { RestorePiece } from './restore-piece.ts';
import { runRestore } from './run-restore.ts';
import { namedTools } from './tools.ts';

const rules: RestorePiece = {
  tool: 'iptables-restore',
  about: 'chains',
  input: ['*nat\n', '-A A -j NOPE\n', 'COMMIT\n'],
};
const sets: RestorePiece = {
  tool: 'ipset',
  about: 'sets and members',
  input: ['add A 1.1.1.1\n', 'destroy B\n'],
};

const lockHeld = {
  exitCode: 4,
  stderr: 'Another app is currently holding the xtables lock. Stopped waiting after 5s.',
};

interface Outcome {
  readonly spawns?: number;
  readonly heldSets?: readonly string[];
  readonly error?: unknown;
  readonly lines: readonly string[];
  readonly elapsedMs: number;
  readonly contention: readonly string[];
}

/** Runs a piece against a scripted program; time passes by itself. */
async function run(piece: RestorePiece, program: FakeProgram, abort?: AbortSignal): Promise<Outcome> {
  const clock = new FakeClock();
  const commands = fakeCommandRunner({ 'iptables-legacy-restore': program, ipset: program });
  const contention: string[] = [];
  const context = {
    clock,
    commands,
    tools: namedTools('IPv4', 'legacy'),
    onContention: (text: string) => void contention.push(text),
  };
  const settled = new AbortController();
  const running = runRestore(piece, context, abort)
    .then(
      ({ spawns, heldSets }) => ({ spawns, heldSets }),
      (error: unknown) => ({ error }),
    )
    .finally(() => settled.abort());
  while (!settled.signal.aborted) await clock.advance(100);
  return { ...(await running), lines: commands.lines, elapsedMs: clock.now(), contention };
}

test('runs the tools with what makes them safe to run on a live node', async () => {
  expect((await run(rules, () => ({}))).lines).toEqual(['iptables-legacy-restore --noflush -w 5']);
  expect((await run(sets, () => ({}))).lines).toEqual(['ipset restore -exist']);
});

test('waits until the lock is free, and says so once', async () => {
  const result = await run(rules, (_, call) => (call < 4 ? lockHeld : {}));
  expect(result.spawns).toBe(5);
  expect(result.contention).toEqual([expect.stringContaining('xtables lock')]);
});

test('gives up on the lock only after a minute', async () => {
  const result = await run(rules, () => lockHeld);
  expect(result.error).toMatchObject({ code: 'WEIR_LOCK_HELD', retryable: true });
  expect(result.elapsedMs).toBeGreaterThan(30_000);
});

test('stops waiting for the lock when it is told to', async () => {
  const abort = new AbortController();
  abort.abort(new Error('shutting down'));
  const result = await run(rules, () => lockHeld, abort.signal);
  expect(result.error).toMatchObject({ message: 'shutting down' });
});

test('waits a moment for a set that a deleted rule still holds', async () => {
  const busy = {
    exitCode: 1,
    stderr: 'ipset v7.17: Error in line 2: Set cannot be destroyed: it is in use by a kernel component',
  };
  expect(await run(sets, (_, call) => (call < 2 ? busy : {}))).toMatchObject({ spawns: 3, contention: [] });
  const result = await run(sets, () => busy);
  expect(result.error).toMatchObject({
    code: 'WEIR_IPSET_FAILED',
    message: `ipset (sets and members): exit code 1: ${busy.stderr}\n 1: add A 1.1.1.1\n>2: destroy B`,
  });
  expect(result.elapsedMs).toBeLessThan(10_000);
});

test('leaves sets that cannot go where the piece says so, and does the rest', async () => {
  const held = (line: number): { exitCode: number; stderr: string } => ({
    exitCode: 1,
    stderr: `ipset v7.17: Error in line ${line}: Set cannot be destroyed: it is in use by a kernel component`,
  });
  const inputs: string[] = [];
  const names = ['A', 'B', 'C', 'D', 'E'];
  const piece: RestorePiece = {
    tool: 'ipset',
    about: 'sets to remove',
    input: names.map((name) => `destroy ${name}\n`),
    leavesHeldSets: true,
  };
  const inUse = new Set(['B', 'D', 'E']);
  const result = await run(piece, (command) => {
    const input = inputOf(command);
    inputs.push(input.replaceAll(/destroy |\n/g, ''));
    const index = input.split('\n').findIndex((line) => inUse.has(line.replace('destroy ', '')));
    return index === -1 ? {} : held(index + 1);
  });
  expect(result.heldSets).toEqual(['B', 'D', 'E']);
  expect([...new Set(inputs)]).toEqual(['ABCDE', 'CDE', 'E', '']);
  expect(result.elapsedMs).toBeLessThan(5000);
  const strict = { tool: piece.tool, about: piece.about, input: piece.input };
  expect((await run(strict, () => held(2))).error).toMatchObject({ code: 'WEIR_IPSET_FAILED' });
});

test('waits until nobody lists a set that is to be swapped', async () => {
  const busy = {
    exitCode: 1,
    stderr: 'ipset v7.17: Error in line 2: Kernel error received: Device or resource busy',
  };
  expect(await run(sets, (_, call) => (call < 2 ? busy : {}))).toMatchObject({ spawns: 3, contention: [] });
  // From iptables the same words mean that something still leads to a chain.
  const held = { exitCode: 4, stderr: 'line 3: CHAIN_DEL failed (Device or resource busy): chain A' };
  expect((await run(rules, () => held)).lines).toHaveLength(1);
});

test('does not repeat what was refused, and shows the line it was refused for', async () => {
  const refusal =
    "iptables-restore v1.8.9 (legacy): Couldn't load target `NOPE':No such file or directory\n\nError occurred at line: 2\n";
  const result = await run(rules, () => ({ exitCode: 2, stderr: refusal }));
  expect(result.lines).toHaveLength(1);
  expect(result.error).toMatchObject({ code: 'WEIR_RESTORE_FAILED' });
  expect(String(result.error)).toContain("Couldn't load target `NOPE'");
  expect(String(result.error)).toContain('>2: -A A -j NOPE');
});

test.each([
  ['WEIR_NOT_PRIVILEGED', rules, { exitCode: 4, stderr: 'Fatal: Permission denied (you must be root)' }],
  ['WEIR_NO_IPTABLES', rules, undefined],
  ['WEIR_NO_IPSET', sets, undefined],
  ['WEIR_RESTORE_FAILED', rules, { exitCode: undefined, timedOut: true }],
  [
    'WEIR_IPSET_FAILED',
    sets,
    { exitCode: 1, stderr: 'ipset v7.17: Error in line 1: Hash is full, cannot add more elements' },
  ],
] as const)('fails with %s', async (code, piece, answer) => {
  expect((await run(piece, () => answer)).error).toMatchObject({ code });
});
