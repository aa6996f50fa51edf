import { expect, test } from 'vitest';
import type { KernelSnapshot, TableGaps, TableName } from '../../pkg/kernel/index.ts';
import { recordedLog } from '../../test/support/recorded-log.ts';
import { parts } from './part-ownership.ts';
import { TableReport } from './table-report.ts';

function kernel(gaps?: TableGaps): KernelSnapshot {
  const table = { chains: new Map(), builtins: new Map(), policies: new Map() };
  return { tables: new Map([['nat', gaps === undefined ? table : { ...table, gaps }]]), sets: new Map() };
}

test('reports once what cannot be printed and where, what is new of it, and the recovery', () => {
  const log = recordedLog();
  const report = new TableReport(log, parts);
  report.read('IPv6', kernel());
  report.read('IPv6', kernel({ unreadable: [] }));
  report.read('IPv6', kernel({ unreadable: [] }));
  report.read('IPv4', kernel());
  report.read('IPv6', kernel({ unreadable: ['PREROUTING', 'admin'] }));
  report.read('IPv6', kernel());
  report.read('IPv6', kernel());
  expect(log.lines).toEqual([
    expect.stringMatching(
      /^WARN .*IPv6 table nat has .*in a chain that nothing jumps to.* nft list table ip6 nat$/,
    ),
    expect.stringMatching(/^WARN .*IPv6 table nat has .*in PREROUTING, admin\)/),
    expect.stringMatching(/^INFO recovered: iptables can print IPv6 table nat again$/),
  ]);
});

test.each<[string, Readonly<Partial<Record<TableName, string>>>, RegExp]>([
  ['no table', { filter: 'it is off', nat: 'it is off' }, /^WARN no IPv6 rules are written: it is off$/],
  [
    'no nat table',
    { nat: 'insmod?' },
    /^WARN the kernel has no table nat for IPv6: IPv6 Services are not routed, policies are enforced, until .* \(insmod\?\)$/,
  ],
  ['no filter table', { filter: 'insmod?' }, /^WARN .*no table filter .*policies are not enforced/],
])('reports once that the kernel has %s, and when it has', (_, missing, warning) => {
  const log = recordedLog();
  const report = new TableReport(log, parts);
  const unavailable = new Map(Object.entries(missing) as [TableName, string][]);
  report.read('IPv6', { ...kernel(), unavailable: new Map() });
  report.read('IPv6', { ...kernel(), unavailable });
  report.read('IPv6', { ...kernel(), unavailable });
  report.read('IPv4', kernel());
  report.read('IPv6', kernel());
  expect(log.lines).toEqual([
    expect.stringMatching(warning),
    'INFO recovered: the kernel has all IPv6 tables',
  ]);
});

test('for policies alone a missing nat table is nothing, and without a filter table there is nothing', () => {
  const log = recordedLog();
  const report = new TableReport(log, ['policies']);
  report.absent('IPv6', 'it is off');
  report.read('IPv4', { ...kernel(), unavailable: new Map([['filter', 'insmod?']]) });
  expect(log.lines).toEqual([
    'WARN no IPv6 rules are written: it is off',
    'WARN no IPv4 rules are written: insmod?',
  ]);
});
