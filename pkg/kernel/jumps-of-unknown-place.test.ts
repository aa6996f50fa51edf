import { expect, test } from 'vitest';
import type { Jump } from './jumps.ts';
import { jumpsOfUnknownPlace } from './jumps-of-unknown-place.ts';
import type { TableName } from './names.ts';
import type { TableSnapshot } from './snapshot.ts';

const jump = (builtin: string, rule: string, position: Jump['position'] = 'first'): Jump => ({
  table: 'filter',
  builtin,
  rule,
  target: rule.slice(3),
  position,
});
const jumps = [
  jump('FORWARD', '-j A'),
  jump('FORWARD', '-j B'),
  jump('FORWARD', '-j C', 'reachable'),
  jump('INPUT', '-j A'),
];

function filter(
  forward: readonly string[],
  unreadable?: readonly string[],
): ReadonlyMap<TableName, TableSnapshot> {
  const builtins = new Map([
    ['FORWARD', forward],
    ['INPUT', ['-j A']],
  ]);
  const table = { chains: new Map(), builtins, policies: new Map() };
  return new Map([['filter', unreadable === undefined ? table : { ...table, gaps: { unreadable } }]]);
}

test('moves to the top, in their order, what must be first in a built-in chain that cannot be printed', () => {
  const changes = jumpsOfUnknownPlace(filter(['-j A', '-j B', '-j C'], ['FORWARD']), jumps);
  expect(changes.map(({ kind, builtin, rule }) => `${kind} ${builtin} ${rule}`)).toEqual([
    'delete FORWARD -j A',
    'delete FORWARD -j B',
    'insert FORWARD -j B',
    'insert FORWARD -j A',
  ]);
});

test('leaves alone what is not there, what is not printed elsewhere, and what can be read', () => {
  expect(jumpsOfUnknownPlace(filter(['-j C'], ['FORWARD']), jumps)).toEqual([]);
  expect(jumpsOfUnknownPlace(filter(['-j A'], ['admin']), jumps)).toEqual([]);
  expect(jumpsOfUnknownPlace(filter(['-j D', '-j A']), jumps)).toEqual([]);
  expect(jumpsOfUnknownPlace(new Map(), jumps)).toEqual([]);
});
