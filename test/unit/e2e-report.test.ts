import { expect, test } from 'vitest';
import { resultsOf, type SpecReport, table, withSection } from '../e2e/report.ts';
import { select, suites } from '../e2e/suites.ts';

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

test('a spec that was to run and did not has failed', () => {
  const reports = [{ SpecReports: [spec('a', 'passed'), spec('b', 'timedout', 'slow\nstack')] }];
  const names = ['a', 'b', 'c'].map((name) => `[sig-network] Services ${name}`);
  expect(resultsOf(reports, names)).toEqual([
    { name: names[0], outcome: 'passed', seconds: 2, message: '' },
    { name: names[1], outcome: 'failed', seconds: 2, message: 'slow' },
    { name: names[2], outcome: 'failed', seconds: 0, message: 'was not run' },
  ]);
});

test('failures come first in the table, and no name breaks it', () => {
  const rows = table([
    { name: 'good', outcome: 'passed', seconds: 1, message: '' },
    { name: 'a|b', outcome: 'failed', seconds: 3, message: 'x' },
  ]).split('\n');
  expect(rows.slice(2)).toEqual(['| failed | 3 s | a\\|b | x |', '| passed | 1 s | good |  |']);
});

test('every spec of a suite is either run or left out for a reason', () => {
  const suite = suites.find(({ name }) => name === 'netpol');
  if (suite === undefined) throw new Error('no netpol');
  const names = [
    '[sig-network] Netpol NetworkPolicy between server and client should deny',
    '[sig-network] NetworkPolicy [Feature:SCTPConnectivity] should',
    '[sig-network] Services should',
  ];
  const { selected, excluded } = select(suite, names);
  expect(selected).toEqual([names[0]]);
  expect(excluded.map(({ name }) => name)).toEqual([names[1]]);
});

test('a second run takes the place of the first, and leaves other sections alone', () => {
  const first = withSection(withSection('# Results\n', 'one', 'old'), 'two', 'kept');
  expect(first).toBe('# Results\n\n## one\n\nold\n\n## two\n\nkept\n');
  expect(withSection(first, 'one', 'new')).toBe('# Results\n\n## one\n\nnew\n\n## two\n\nkept\n');
  expect(withSection(first, 'two', 'new')).toBe('# Results\n\n## one\n\nold\n\n## two\n\nnew\n');
});
