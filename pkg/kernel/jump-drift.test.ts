import { describe, expect, test } from 'vitest';
import { type Drift, jumpDrift } from './jump-drift.ts';
import type { Jump } from './jumps.ts';

const policy: Jump = jump('-j OWN-POLICY', 'first');
const services: Jump = jump('-m conntrack --ctstate NEW -j OWN-SERVICES', 'reachable');
const isOurs = (target: string): boolean => target.startsWith('OWN-');

function jump(rule: string, position: Jump['position']): Jump {
  return { table: 'filter', builtin: 'FORWARD', rule, target: rule.split(' ').at(-1) ?? '', position };
}

const left = ['-j CNI', services.rule, '-j DROP'];

describe('jumps that may stand anywhere', () => {
  test.each<[string, readonly string[], Drift]>([
    ['as they were left', left, 'nothing'],
    ['with more rules of others around them', ['-s 10.0.0.1/32 -j DROP', ...left, '-j X'], 'nothing'],
    ['in another spelling', ['-m state --state NEW -j OWN-SERVICES'], 'nothing'],
    ['gone', ['-j CNI', '-j DROP'], 'changed'],
    ['there twice', [...left, services.rule], 'changed'],
    ['with another condition', ['-j OWN-SERVICES'], 'changed'],
    ['behind a rule that ends the chain', ['-j DROP', services.rule], 'changed'],
    ['with a jump to an own chain that was not there', [...left, '-j OWN-OLD'], 'changed'],
  ])('%s', (_, lines, drift) => {
    expect(jumpDrift([services], left, lines, isOurs)).toBe(drift);
  });

  test('that are wanted and not written yet are no drift, nor those that are not wanted any more', () => {
    expect(jumpDrift([services], ['-j CNI'], ['-j CNI'], isOurs)).toBe('nothing');
    expect(jumpDrift([], left, left, isOurs)).toBe('nothing');
  });

  test('that were cut off already are no news', () => {
    const cut = ['-j ACCEPT', services.rule];
    expect(jumpDrift([services], cut, cut, isOurs)).toBe('nothing');
  });
});

describe('a jump that must be first', () => {
  const first = [policy.rule, '-j CNI'];

  test.each<[string, readonly string[], Drift]>([
    ['is first', first, 'nothing'],
    ['has a rule in front of it', ['-j CNI', policy.rule], 'displaced'],
    ['has one in front of it that ends the chain', ['-j ACCEPT', policy.rule], 'changed'],
    ['is gone', ['-j CNI'], 'changed'],
  ])('%s', (_, lines, drift) => {
    expect(jumpDrift([policy], first, lines, isOurs)).toBe(drift);
  });

  test('is displaced for as long as nobody moves it back', () => {
    const displaced = ['-j CNI', policy.rule];
    expect(jumpDrift([policy], displaced, displaced, isOurs)).toBe('displaced');
  });
});
