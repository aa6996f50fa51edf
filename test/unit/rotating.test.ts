import { expect, test } from 'vitest';
import { worldSeed } from '../support/random.ts';
import { choiceVariable, rotating } from '../support/rotating.ts';

const cases = ['a', 'b', 'c'];
const commits = Array.from({ length: 100 }, (_, number) => `commit ${number}`);

test('without a choice all cases run', () => {
  expect(rotating('file', cases, 1, '')).toEqual(cases);
});

test('every case has its turn, as many at a time as were asked for', () => {
  const chosen = commits.map((commit) => rotating('file', cases, 2, commit));
  expect(new Set(chosen.map((some) => some.join('')))).toEqual(new Set(['ab', 'bc', 'ca']));
  expect(rotating('file', cases, 4, 'commit')).toEqual(cases);
});

test('one commit gives different files different cases', () => {
  const names = commits.map((_, number) => `file ${number}`);
  expect(new Set(names.flatMap((name) => rotating(name, cases, 1, 'commit')))).toEqual(new Set(cases));
});

test('random worlds are the same for each run of one commit, unless a seed is asked for', () => {
  const of = (commit: string): number => worldSeed({ [choiceVariable]: commit });
  expect(of('one')).toBe(of('one'));
  expect(new Set(commits.map(of)).size).toBe(commits.length);
  expect(worldSeed({ [choiceVariable]: 'one', WEIR_SEED: '7' })).toBe(7);
});
