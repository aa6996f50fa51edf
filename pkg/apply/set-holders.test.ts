import { expect, test } from 'vitest';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { findSetHolders } from './set-holders.ts';

const mangle = [
  '*mangle',
  ':PREROUTING ACCEPT [0:0]',
  '-A PREROUTING -m set --match-set A src -m set ! --match-set A dst -j SET --add-set B src',
  '-A PREROUTING -m comment --comment "not A here" -j ACCEPT',
  'COMMIT',
  '',
].join('\n');
const rule = '-m set --match-set A src -m set ! --match-set A dst -j SET --add-set B src';
const place = { kind: 'rule', table: 'mangle', chain: 'PREROUTING', rule } as const;
const sets =
  'create ALL list:set size 8\nadd ALL C\nadd ALL A\ncreate C hash:ip family inet\nadd C 10.0.0.1\n';

test('names rules of every table and backend, and sets of sets', async () => {
  const commands = fakeCommandRunner({
    'iptables-nft-save': () => ({ stdout: '' }),
    'ip6tables-nft-save': () => ({ stdout: '' }),
    'iptables-legacy-save': () => ({ stdout: mangle }),
    'iptables-save': () => ({ stdout: mangle }),
    ipset: () => ({ stdout: sets }),
  });
  expect(Object.fromEntries(await findSetHolders(commands, ['A', 'B', 'C', 'D']))).toEqual({
    A: [
      { program: 'iptables-legacy', ...place },
      { kind: 'set', name: 'ALL' },
    ],
    B: [{ program: 'iptables-legacy', ...place }],
    C: [{ kind: 'set', name: 'ALL' }],
  });
});

test('asks the programs without a backend in their name where there are no others', async () => {
  const commands = fakeCommandRunner({
    'iptables-save': () => ({ stdout: mangle }),
    ipset: () => ({ stdout: '' }),
  });
  const found = await findSetHolders(commands, ['B']);
  expect(found.get('B')).toEqual([{ program: 'iptables', ...place }]);
});
