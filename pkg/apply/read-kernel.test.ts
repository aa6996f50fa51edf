import { expect, test } from 'vitest';
import type { FakeProgram } from '../../test/support/fake-command-runner.ts';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import type { KernelSnapshot } from '../kernel/index.ts';
import { setName } from '../kernel/index.ts';
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

test('never takes a table that the tool can not show for an empty one', async () => {
  const reading = read(() => ({ stdout: "# Table `nat' is incompatible, use 'nft' tool.\n" }));
  await expect(reading).rejects.toMatchObject({
    code: 'WEIR_SAVE_FAILED',
    message: expect.stringContaining('nft') as string,
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

test('says of a table that iptables can not show that it was made with nft', async () => {
  const stderr = "iptables v1.8.9 (nf_tables): table `filter' is incompatible, use 'nft' tool.\n";
  const commands = fakeCommandRunner({ 'iptables-nft': () => ({ exitCode: 1, stderr }) });
  await expect(readFilter(commands, namedTools('IPv4', 'nft'))).rejects.toMatchObject({
    code: 'WEIR_SAVE_FAILED',
    message: expect.stringContaining('see nft list table') as string,
  });
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
