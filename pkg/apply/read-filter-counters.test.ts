import { expect, test } from 'vitest';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { readFilterCounters } from './read-filter-counters.ts';
import { namedTools } from './tools.ts';

const tools = namedTools('IPv4', 'nft');

test('saves the filter table with its counters', async () => {
  const commands = fakeCommandRunner({ 'iptables-nft-save': () => ({ stdout: '*filter\n' }) });
  expect(await readFilterCounters(commands, tools)).toBe('*filter\n');
  expect(commands.lines).toEqual(['iptables-nft-save -c -t filter']);
});

test('a table that can not be read is no empty table', async () => {
  const commands = fakeCommandRunner({ 'iptables-nft-save': () => ({ exitCode: 1, stderr: 'boom\n' }) });
  await expect(readFilterCounters(commands, tools)).rejects.toMatchObject({
    code: 'WEIR_SAVE_FAILED',
    message: 'iptables-nft-save -c -t filter: exit code 1: boom',
  });
});
