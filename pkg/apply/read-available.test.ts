import { expect, test } from 'vitest';
import {
  type FakeCommandRunner,
  type FakeProgram,
  fakeCommandRunner,
  inputOf,
} from '../../test/support/fake-command-runner.ts';
import type { KernelSnapshot } from '../kernel/index.ts';
import { readAvailable } from './read-available.ts';
import { namedTools } from './tools.ts';

const filter = '*filter\n:INPUT ACCEPT [0:0]\n:WEIR-A - [0:0]\nCOMMIT\n';
const nat = '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n';
/** As iptables-nft-save prints a table that is not there, and one that holds nothing. */
const emptyNat = '*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';
/** As `iptables-save -t` answers where these tables have chains. */
const saves =
  (...texts: readonly string[]): FakeProgram =>
  ({ args }) => ({ stdout: texts.find((text) => text.startsWith(`*${args.at(-1)}`)) ?? '' });
const noNat = 'line 4: CHAIN_ADD failed (No such file or directory): chain PREROUTING\n';

async function read(
  backend: 'nft' | 'legacy',
  programs: Readonly<Record<string, FakeProgram>>,
): Promise<{ readonly snapshot: KernelSnapshot; readonly commands: FakeCommandRunner }> {
  const prefix = `iptables-${backend}`;
  const named: [string, FakeProgram][] = Object.entries(programs).map(([name, program]) => [
    `${prefix}-${name}`,
    program,
  ]);
  const commands = fakeCommandRunner({ ipset: () => ({}), ...Object.fromEntries(named) });
  const snapshot = await readAvailable(commands, namedTools('IPv4', backend), ['filter', 'nat']);
  return { snapshot, commands };
}

test.each([
  ['has no chain', saves(filter)],
  ['holds nothing', saves(filter, emptyNat)],
])('a table of iptables-nft that %s is tried, any other is not', async (_, save) => {
  const { snapshot, commands } = await read('nft', { save, restore: () => ({}) });
  expect([...(snapshot.unavailable ?? [])]).toEqual([]);
  expect(commands.lines.filter((line) => line.includes('restore'))).toHaveLength(1);
  expect(inputOf(commands.ran.at(-1))).toMatch(/^\*nat\n-I PREROUTING 1 (.*)\n-D PREROUTING \1\nCOMMIT\n$/);
  const again = await read('nft', { save: saves(filter, nat) });
  expect(again.commands.lines.filter((line) => line.includes('restore'))).toEqual([]);
});

test('a table that the kernel does not make is unavailable, with its words; other failures show when it is written', async () => {
  const { snapshot } = await read('nft', {
    save: saves(filter, emptyNat),
    restore: () => ({ exitCode: 4, stderr: noNat }),
  });
  expect([...(snapshot.unavailable ?? [])]).toEqual([
    ['nat', expect.stringContaining('CHAIN_ADD failed (No such file or directory)')],
  ]);
  expect([...snapshot.tables.keys()]).toEqual(['filter']);
  const busy = await read('nft', {
    save: saves(filter),
    restore: () => ({ exitCode: 4, stderr: 'Resource temporarily unavailable' }),
  });
  expect([...(busy.snapshot.unavailable ?? [])]).toEqual([]);
});

test('a table of legacy without its module is unavailable', async () => {
  const { snapshot } = await read('legacy', {
    save: ({ args }) =>
      args.includes('nat')
        ? { exitCode: 1, stderr: 'Cannot initialize: Table does not exist (do you need to insmod?)\n' }
        : { stdout: filter },
  });
  expect([...(snapshot.unavailable ?? [])]).toEqual([['nat', expect.stringContaining('insmod')]]);
});

test('without the programs, or where the family is off, no table is available', async () => {
  const { snapshot } = await read('nft', {});
  expect([...(snapshot.unavailable?.keys() ?? [])]).toEqual(['filter', 'nat']);
  const commands = fakeCommandRunner({});
  const off = await readAvailable(commands, namedTools('IPv6', 'nft'), ['filter', 'nat'], {
    whyOff: () => Promise.resolve('it is off'),
  });
  expect([...(off.unavailable?.values() ?? [])]).toEqual(['it is off', 'it is off']);
  expect(commands.lines).toEqual([]);
});

test('what fails otherwise is thrown', async () => {
  const save: FakeProgram = () => ({ exitCode: 1, stderr: 'Cannot allocate memory' });
  await expect(read('nft', { save })).rejects.toMatchObject({ code: 'WEIR_SAVE_FAILED' });
});
