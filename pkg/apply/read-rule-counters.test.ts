import { expect, test } from 'vitest';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { readRuleCounters } from './read-rule-counters.ts';
import { namedTools } from './tools.ts';

const saved = `*filter
:KUBE-FORWARD - [0:0]
[7:420] -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
[9:540] -A KUBE-OTHER -m conntrack --ctstate INVALID -j DROP
COMMIT
`;
const rule = '-m conntrack --ctstate INVALID -j DROP';
const tools = namedTools('IPv4', 'nft');

test('says what each rule counted, in its own chain, and knows nothing of those that are not there', async () => {
  const commands = fakeCommandRunner({ 'iptables-nft-save': () => ({ stdout: saved }) });
  const rules = ['KUBE-SERVICES', 'KUBE-FORWARD'].map((chain) => ({ chain, rule }));
  expect(await readRuleCounters(commands, tools, rules)).toEqual([undefined, 7]);
  expect(commands.lines).toEqual(['iptables-nft-save -c -t filter']);
});

test('a table that can not be read is no table of zeros', async () => {
  const commands = fakeCommandRunner({ 'iptables-nft-save': () => ({ exitCode: 1, stderr: 'boom\n' }) });
  await expect(readRuleCounters(commands, tools, [])).rejects.toMatchObject({ code: 'WEIR_SAVE_FAILED' });
});
