import { expect, test } from 'vitest';
import type { FakeProgram } from '../../test/support/fake-command-runner.ts';
import { fakeCommandRunner, inputOf } from '../../test/support/fake-command-runner.ts';
import type { KernelSnapshot } from '../kernel/index.ts';
import { setName } from '../kernel/index.ts';
import type { CommandResult } from '../runtime/index.ts';
import { readFilterCounters } from './read-filter-counters.ts';
import { readChain, readFilter, readKernel } from './read-kernel.ts';
import { namedTools } from './tools.ts';

const filter =
  '*filter\n:INPUT ACCEPT [0:0]\n:WEIR-A - [0:0]\n-A INPUT -j WEIR-A\n-A WEIR-A -j DROP\nCOMMIT\n';
const members = 'create WEIR-4-A hash:ip family inet hashsize 1024 maxelem 16\nadd WEIR-4-A 10.0.0.1\n';

function read(save: FakeProgram, ipset: FakeProgram = () => ({ stdout: members })): Promise<KernelSnapshot> {
  const programs = { 'iptables-nft-save': save, ipset };
  return readKernel(fakeCommandRunner(programs), namedTools('IPv4', 'nft'), ['filter', 'nat']);
}

test('reads the named tables and all sets', async () => {
  const snapshot = await read((command) => (command.args.includes('filter') ? { stdout: filter } : {}));
  expect([...snapshot.tables.keys()]).toEqual(['filter']);
  expect([...(snapshot.tables.get('filter')?.chains ?? [])]).toEqual([['WEIR-A', '-j DROP']]);
  expect(snapshot.tables.get('filter')?.builtins.get('INPUT')).toEqual(['-j WEIR-A']);
  const set = snapshot.sets.get(setName('WEIR-4-A'));
  expect([...(set?.members ?? [])]).toEqual(['10.0.0.1']);
});

test('asks for no other table than it was told', async () => {
  const commands = fakeCommandRunner({ 'ip6tables-legacy-save': () => ({}), ipset: () => ({}) });
  await readKernel(commands, namedTools('IPv6', 'legacy'), ['nat']);
  expect(commands.lines.toSorted()).toEqual(['ip6tables-legacy-save -t nat', 'ipset save']);
});

const unprintable = "table `filter' is incompatible, use 'nft' tool.\n";
/** The chains that can be printed, each by its name. */
const byName: FakeProgram = (command) => {
  const chains: Readonly<Record<string, string>> = {
    INPUT: '-P INPUT ACCEPT\n-A INPUT -c 7 420 -j WEIR-A\n',
    FORWARD: '-P FORWARD DROP\n',
    OUTPUT: '-P OUTPUT ACCEPT\n',
    'WEIR-A': '-N WEIR-A\n-A WEIR-A -j DROP\n',
  };
  const asked = [...inputOf(command).matchAll(/^-S (\S+)/gm)].map(([, name = '']) => name);
  return { stdout: asked.map((name) => chains[name] ?? '').join('') };
};

test.each<[string, Partial<CommandResult>]>([
  ['says so', { stdout: `# T${unprintable.slice(1)}` }],
  [
    'fails at a rule',
    { exitCode: 3, stdout: '*filter\n:INPUT ACCEPT [0:0]\n', stderr: 'Parsing nftables rule failed\n' },
  ],
])('reads a table that iptables-nft cannot print chain by chain, where it %s', async (_, save) => {
  const commands = fakeCommandRunner({
    'iptables-nft-save': ({ args }) => (args.includes('filter') ? save : {}),
    'iptables-nft-restore': byName,
    ipset: () => ({}),
  });
  const snapshot = await readKernel(commands, namedTools('IPv4', 'nft'), ['filter', 'nat']);
  const table = snapshot.tables.get('filter');
  expect([...(table?.chains ?? [])]).toEqual([['WEIR-A', '-j DROP']]);
  expect(table?.policies.get('FORWARD')).toBe('DROP');
  expect(table?.gaps).toEqual({ unreadable: [] });
});

test('reads the filter table alone chain by chain, with counters where they are asked for', async () => {
  const stderr = `iptables v1.8.9 (nf_tables): ${unprintable}`;
  const commands = fakeCommandRunner({
    'iptables-nft': () => ({ exitCode: 1, stderr }),
    'iptables-nft-restore': byName,
  });
  const tools = namedTools('IPv4', 'nft');
  const chains = (await readFilter(commands, tools))?.chains;
  expect([...(chains ?? [])]).toEqual([['WEIR-A', '-j DROP']]);
  expect(await readFilterCounters(commands, tools)).toContain('\n[7:420] -A INPUT -j WEIR-A\n');
  expect(inputOf(commands.ran.at(-1))).toContain('-S WEIR-A -v\n');
});

test('finds our jumps in a built-in chain that cannot be printed', async () => {
  const rules = ['-j A', '-j B', '-j C'];
  const commands = fakeCommandRunner({
    'iptables-nft': () => ({ exitCode: 1, stderr: unprintable }),
    'iptables-nft-restore': (command) =>
      inputOf(command).includes('-C FORWARD -j B\n')
        ? { exitCode: 1, stderr: 'iptables-nft-restore: line 2 failed: Bad rule.\n' }
        : {},
  });
  const jumps = rules.map((rule) => {
    return { table: 'filter', builtin: 'FORWARD', rule, target: rule.slice(3), position: 'first' } as const;
  });
  const landmarks = { jumps, chains: {} };
  const tools = namedTools('IPv4', 'nft');
  expect(await readChain(commands, tools, 'filter', 'FORWARD', { landmarks })).toEqual(['-j A', '-j C']);
  await expect(readChain(commands, tools, 'filter', 'INPUT', { landmarks })).rejects.toMatchObject({
    code: 'WEIR_SAVE_FAILED',
  });
});

test('reads the filter table alone, or nothing where the kernel has none', async () => {
  const commands = fakeCommandRunner({
    'iptables-legacy-save': () => ({ stdout: filter }),
    'ip6tables-legacy-save': () => ({}),
    'iptables-nft': () => ({
      stdout: '-P INPUT ACCEPT\n-N WEIR-A\n-A INPUT -j WEIR-A\n-A WEIR-A -j DROP\n',
    }),
  });
  const legacy = await readFilter(commands, namedTools('IPv4', 'legacy'));
  expect(legacy?.builtins.get('INPUT')).toEqual(['-j WEIR-A']);
  expect(await readFilter(commands, namedTools('IPv4', 'nft'))).toEqual(legacy);
  expect(await readFilter(commands, namedTools('IPv6', 'legacy'))).toBeUndefined();
});

test('reads the rules of one chain, without its policy, waiting for the lock', async () => {
  const listing = '-P FORWARD ACCEPT\n-A FORWARD -j WEIR-A\n-A FORWARD -i eth0 -j DROP\n';
  const commands = fakeCommandRunner({ 'ip6tables-legacy': () => ({ stdout: listing }) });
  const rules = await readChain(commands, namedTools('IPv6', 'legacy'), 'filter', 'FORWARD');
  expect(rules).toEqual(['-j WEIR-A', '-i eth0 -j DROP']);
  expect(commands.lines).toEqual(['ip6tables-legacy -w 5 -t filter -S FORWARD']);
});

test.each<[string, FakeProgram | undefined, FakeProgram | undefined]>([
  ['WEIR_SAVE_FAILED', () => ({ exitCode: 1, stderr: 'out of memory' }), undefined],
  ['WEIR_SAVE_FAILED', () => ({ stdout: filter, timedOut: true }), undefined],
  ['WEIR_NOT_PRIVILEGED', () => ({ exitCode: 4, stderr: 'Permission denied (you must be root)' }), undefined],
  [
    'WEIR_LOCK_HELD',
    () => ({ exitCode: 4, stderr: 'Another app is currently holding the xtables lock' }),
    undefined,
  ],
  ['WEIR_NO_IPTABLES', () => undefined, undefined],
  ['WEIR_NO_IPSET', () => ({}), () => undefined],
])('fails with %s when something could not be read whole', async (code, save, ipset) => {
  await expect(read(save ?? (() => ({})), ipset)).rejects.toMatchObject({ code });
});
