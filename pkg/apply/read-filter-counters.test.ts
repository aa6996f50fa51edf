import { expect, test } from 'vitest';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { readFilterCounters } from './read-filter-counters.ts';
import { namedTools } from './tools.ts';

const listing = `-P INPUT ACCEPT -c 5 300
-N WEIR-INGRESS-A
-A INPUT -m comment --comment "a \\"quoted\\" -c 1 2" -c 7 420 -j WEIR-INGRESS-A
-A WEIR-INGRESS-A -p tcp -m tcp --dport 80 -c 3 180 -j REJECT --reject-with tcp-reset
-A WEIR-INGRESS-A -c 4 240
`;
const saved = `*filter
:INPUT ACCEPT [0:0]
:WEIR-INGRESS-A - [0:0]
[7:420] -A INPUT -m comment --comment "a \\"quoted\\" -c 1 2" -j WEIR-INGRESS-A
[3:180] -A WEIR-INGRESS-A -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset
[4:240] -A WEIR-INGRESS-A
COMMIT
`;

test('reads the filter table with its counters, alike on both backends', async () => {
  const commands = fakeCommandRunner({
    'ip6tables-legacy-save': () => ({ stdout: saved }),
    'ip6tables-nft': () => ({ stdout: listing }),
  });
  for (const backend of ['legacy', 'nft'] as const)
    expect(await readFilterCounters(commands, namedTools('IPv6', backend))).toBe(saved);
  expect(commands.lines).toEqual(['ip6tables-legacy-save -c -t filter', 'ip6tables-nft -t filter -S -v']);
});

test('a table that can not be read is no empty table', async () => {
  const commands = fakeCommandRunner({ 'iptables-nft': () => ({ exitCode: 1, stderr: 'boom\n' }) });
  await expect(readFilterCounters(commands, namedTools('IPv4', 'nft'))).rejects.toMatchObject({
    code: 'WEIR_SAVE_FAILED',
    message: 'iptables-nft -t filter -S -v: exit code 1: boom',
  });
});
