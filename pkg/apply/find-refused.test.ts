import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeProgram, fakeCommandRunner, inputOf } from '../../test/support/fake-command-runner.ts';
import { chainName, type Plan, setName } from '../kernel/index.ts';
import { WeirError, type WeirErrorCode } from '../runtime/index.ts';
import { findRefused } from './find-refused.ts';
import { namedTools } from './tools.ts';

const set = setName('WEIR-4-A');
const bodies = Array.from({ length: 100 }, (_, index) => `-d 10.0.0.${index}/32 -j KUBE-SVC-${index}`);
const plan: Plan = {
  family: 'IPv4',
  createSets: [],
  addMembers: [{ set, members: ['10.0.0.1', '10.0.0.2', '10.0.0.3'] }],
  earlyRules: [],
  writeChains: [
    {
      table: 'nat',
      name: chainName('KUBE-SERVICES'),
      stage: 1,
      isNew: true,
      rules: [...bodies, `-m set --match-set ${set} src -j RETURN`].join('\n'),
    },
  ],
  jumps: [],
  removeMembers: [],
  deleteChains: [],
  destroySets: [],
};

interface Search {
  readonly code: WeirErrorCode;
  readonly restore?: FakeProgram;
  readonly ipset?: FakeProgram;
}

const fine: FakeProgram = () => ({});

async function search({ code, restore = fine, ipset = fine }: Search) {
  const commands = fakeCommandRunner({ 'iptables-legacy-restore': restore, ipset });
  const context = {
    tools: namedTools('IPv4', 'legacy'),
    commands,
    clock: new FakeClock(),
    onContention: () => undefined,
  };
  const typeOf = () => 'hash:ip' as const;
  const refused = await findRefused(plan, new WeirError(code, 'no'), typeOf, context, undefined);
  return {
    commands,
    refused: refused.map(({ element, why }) => [
      element.kind === 'rule' ? element.rule : element.member,
      why,
    ]),
  };
}

test('runs nothing after failures that are not about the input', async () => {
  for (const code of ['WEIR_LOCK_HELD', 'WEIR_NOT_PRIVILEGED', 'WEIR_NO_IPTABLES', 'WEIR_TIMEOUT'] as const)
    expect((await search({ code })).commands.ran).toEqual([]);
});

test('tries members in a set of their own, and takes it away', async () => {
  const ipset: FakeProgram = (command) => {
    const line = inputOf(command)
      .split('\n')
      .findIndex((text) => text.endsWith(' 10.0.0.2'));
    return line < 0
      ? {}
      : { exitCode: 1, stderr: `ipset v7.17: Error in line ${line + 1}: Null-valued element` };
  };
  const { refused, commands } = await search({ code: 'WEIR_IPSET_FAILED', ipset });
  expect(refused).toEqual([['10.0.0.2', 'Null-valued element']]);
  for (const command of commands.ran) expect(inputOf(command)).not.toContain(`${set} `);
  expect(inputOf(commands.ran.at(-1))).toMatch(/^create (\S+) .*\nflush \1\ndestroy \1\n$/);
});

test('tries rules in a chain of their own, with stand-ins for the chains and sets they name', async () => {
  const restore: FakeProgram = (command) =>
    inputOf(command).includes('10.0.0.42/32')
      ? { exitCode: 1, stderr: 'iptables-restore: line 9 failed' }
      : {};
  const { refused, commands } = await search({ code: 'WEIR_RESTORE_FAILED', restore });
  expect(refused).toEqual([[bodies[42], '']]);
  const inputs = commands.ran.map(inputOf).join('');
  expect(inputs).not.toContain('KUBE-');
  expect(inputs).not.toContain(`${set} `);
  expect(inputs).toMatch(/^-A WEIR-TRIAL -m set --match-set WEIR-4-TEMP-\w+ src -j RETURN$/m);
  expect(inputs).toMatch(/^-A WEIR-TRIAL -d 10\.0\.0\.1\/32 -j WEIR-TRIAL-TARGET$/m);
});

test.each<[string, ReturnType<FakeProgram>]>([
  ['always fails', { exitCode: 1, stderr: 'iptables-restore: line 2 failed' }],
  [
    'says that there is no memory',
    { exitCode: 4, stderr: 'line 4: RULE_APPEND failed (Cannot allocate memory)' },
  ],
  ['is killed', { exitCode: undefined }],
  ['does not end', { exitCode: undefined, timedOut: true }],
  ['is gone', undefined],
])('blames nothing, and soon gives up, where the program %s', async (_, answer) => {
  const { refused, commands } = await search({ code: 'WEIR_RESTORE_FAILED', restore: () => answer });
  expect(refused).toEqual([]);
  expect(commands.lines.filter((line) => line.includes('iptables')).length).toBeLessThanOrEqual(2);
});

test('blames nothing for a failure that passes', async () => {
  const { refused } = await search({
    code: 'WEIR_RESTORE_FAILED',
    restore: (_, call) => (call === 1 ? { exitCode: 1, stderr: 'iptables-restore: line 4 failed' } : {}),
  });
  expect(refused).toEqual([]);
});
