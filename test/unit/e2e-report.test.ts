import { describe, expect, test } from 'vitest';
import { countsLine, countsOf, resultsOf, type SpecReport, type SpecResult } from '../e2e/report.ts';
import { withRun } from '../e2e/results-document.ts';
import { dealOut, limited, runAgain, type Suite, select, suites } from '../e2e/suites.ts';
import { defaultKind, type LabKind } from '../lab/settings.ts';

function spec(name: string, State: SpecReport['State'], message?: string): SpecReport {
  return {
    ContainerHierarchyTexts: ['[sig-network] Services'],
    LeafNodeText: name,
    LeafNodeType: 'It',
    State,
    RunTime: 2e9,
    ...(message === undefined ? {} : { Failure: { Message: message } }),
  };
}

function result(name: string, outcome: SpecResult['outcome']): SpecResult {
  return { name, outcome, seconds: 3, message: '' };
}

const netpol = suiteNamed('netpol');

function suiteNamed(wanted: string): Suite {
  const suite = suites.find(({ name }) => name === wanted);
  if (suite === undefined) throw new Error(`no suite ${wanted}`);
  return suite;
}

test('a spec that was to run and did not has failed', () => {
  const reports = [{ SpecReports: [spec('a', 'passed'), spec('b', 'timedout', 'slow\nstack')] }];
  const names = ['a', 'b', 'c'].map((name) => `[sig-network] Services ${name}`);
  expect(resultsOf(reports, names, [])).toEqual([
    { name: names[0], outcome: 'passed', seconds: 2, message: '' },
    { name: names[1], outcome: 'failed', seconds: 2, message: 'slow' },
    { name: names[2], outcome: 'failed', seconds: 0, message: 'was not run' },
  ]);
});

test('a spec counts as skipped only where the suite has said so before', () => {
  const reports = [{ SpecReports: [spec('a', 'skipped', 'needs more nodes')] }];
  const names = ['a', 'b'].map((name) => `[sig-network] Services ${name}`);
  const notRun = [{ name: names[1] ?? '', reason: 'no SCTP' }];
  expect(resultsOf(reports, names, notRun)).toEqual([
    { name: names[0], outcome: 'failed', seconds: 2, message: 'skipped itself: needs more nodes' },
    { name: names[1], outcome: 'skipped', seconds: 0, message: 'no SCTP' },
  ]);
});

test('of two attempts the second counts, and the first is told', () => {
  const names = ['a', 'b'].map((name) => `[sig-network] Services ${name}`);
  const reports = [
    { SpecReports: [spec('a', 'failed', 'reset\nstack'), spec('b', 'failed', 'slow')] },
    { SpecReports: [spec('a', 'passed'), spec('b', 'failed', 'slow again')] },
  ];
  expect(resultsOf(reports, names, [])).toMatchObject([
    { name: names[0], outcome: 'passed', message: 'at the second attempt; the first: reset' },
    { name: names[1], outcome: 'failed', message: 'at the second attempt; the first: slow' },
  ]);
});

test('only specs that are known to fail by their own doing run again', () => {
  const services = suiteNamed('services');
  const race = 'Conntrack should not be vulnerable to the invalid conntrack state bug [Privileged]';
  expect(runAgain(services, ['Services should serve a basic endpoint', race])).toEqual([race]);
  expect(suites.map(({ races }) => races.length)).toEqual([0, 1]);
});

test('of several reports the one counts that ran the spec', () => {
  const [ran, others] = [[spec('a', 'passed')], [spec('a', 'skipped')]].map((SpecReports) => ({
    SpecReports,
  }));
  const names = ['[sig-network] Services a'];
  for (const reports of [
    [ran, others],
    [others, ran],
  ])
    expect(
      resultsOf(
        reports.filter((report) => report !== undefined),
        names,
        [],
      )[0]?.outcome,
    ).toBe('passed');
});

test('counts are said in one line, all three', () => {
  expect(countsLine(countsOf([result('a', 'passed'), result('b', 'passed'), result('c', 'failed')]))).toBe(
    '2 passed, 1 failed, 0 skipped',
  );
});

test('every spec of a suite is either run or left out for a reason', () => {
  const names = [
    '[sig-network] Netpol NetworkPolicy between server and client should deny',
    '[sig-network] Netpol API should support creating',
    '[sig-network] Services should',
  ];
  const { selected, excluded } = select(netpol, names);
  expect(selected).toEqual([names[0]]);
  expect(excluded.map(({ name }) => name)).toEqual([names[1]]);
});

test('specs of SCTP belong to the suite, and run where the machine has such sockets', () => {
  const sctp = '[sig-network] Netpol [Feature:SCTPConnectivity] should deny';
  expect(select(netpol, [sctp]).selected).toEqual([sctp]);
  expect(limited(netpol, [sctp], { sctp: true })).toEqual([]);
  expect(limited(netpol, [sctp], { sctp: false }).map(({ name }) => name)).toEqual([sctp]);
});

describe('the document of results', () => {
  const run = (suite: string, backend: LabKind['backend'], ...results: readonly SpecResult[]) => ({
    suite,
    settings: { ...defaultKind, backend },
    seconds: 61,
    circumstances: '3 nodes',
    results,
  });

  test('counts stand on top, what did not pass before what did, and no name breaks a table', () => {
    const document = withRun('', run('services', 'nft', result('good', 'passed'), result('a|b', 'failed')));
    expect(document).toContain(
      '| [services](#services-weir-iptables-nft) | weir        | nft      | 1      | 1      | 0       | 1 min 1 s |',
    );
    expect(document.slice(document.indexOf('## ')).trimEnd().split('\n')).toEqual([
      '## services, weir, iptables nft',
      '',
      '1 passed, 1 failed, 0 skipped in 1 min 1 s: 3 nodes.',
      '',
      '| outcome | time | spec | why |',
      '| ------- | ---- | ---- | --- |',
      '| failed  | 3 s  | a\\|b |     |',
      '',
      '<details><summary>1 passed</summary>',
      '',
      '| outcome | time | spec | why |',
      '| ------- | ---- | ---- | --- |',
      '| passed  | 3 s  | good |     |',
      '',
      '</details>',
    ]);
  });

  test('a run takes the place of the last one of its kind, and leaves the others alone', () => {
    const nft = run('services', 'nft', result('a', 'passed'));
    const legacy = run('services', 'legacy', result('a', 'failed'));
    const rightAway = withRun(withRun('', legacy), nft);
    const again = withRun(withRun(rightAway, run('services', 'nft', result('a', 'failed'))), nft);
    expect(again).toBe(rightAway);
    expect(again).toBe(withRun(withRun('', nft), legacy));
    expect(again.match(/^## .*$/gmu)).toEqual([
      '## services, weir, iptables legacy',
      '## services, weir, iptables nft',
    ]);
    expect(again.match(/^\| \[/gmu)).toHaveLength(2);
  });

  test('a run on bridges says so, and stands beside that on routes', () => {
    const routed = run('netpol', 'nft', result('a', 'passed'));
    const bridged = { ...routed, settings: { ...routed.settings, network: 'bridged' as const } };
    const both = withRun(withRun(withRun('', routed), bridged), routed);
    expect(both).toBe(withRun(withRun('', bridged), routed));
    expect(both.match(/^## .*$/gmu)).toEqual([
      '## netpol, weir, iptables nft',
      '## netpol, weir, iptables nft, bridged pods',
    ]);
    expect(both.match(/^\| \[.*\)/gmu)).toEqual([
      '| [netpol, bridged pods](#netpol-weir-iptables-nft-bridged-pods)',
      '| [netpol](#netpol-weir-iptables-nft)',
    ]);
  });
});

test('each spec runs once, with the first that wants it', () => {
  const patterns = [{ pattern: /slow/u }, { pattern: /never/u }, { pattern: /^/u }];
  expect(dealOut(patterns, ['a', 'a slow one', 'b']).map(({ names }) => names)).toEqual([
    ['a slow one'],
    ['a', 'b'],
  ]);
});

test.each(suites)('no spec of $name is in no part or no group of it', ({ parts }) => {
  const name = '[sig-network] anything';
  const groups = dealOut(parts, [name]).flatMap((part) => dealOut(part.groups, part.names));
  expect(groups.map(({ names }) => names)).toEqual([[name]]);
});
