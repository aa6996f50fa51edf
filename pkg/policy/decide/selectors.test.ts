import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyLabels, labelSelector } from '../../../test/support/random-policy-world.ts';
import type { LabelRequirement, LabelSelector, Labels } from '../../api/index.ts';
import { canonicalSelector, selects } from './selectors.ts';

function selector(matchLabels: Labels, ...matchExpressions: readonly LabelRequirement[]): LabelSelector {
  return { matchLabels, matchExpressions };
}

describe('selects', () => {
  it.each<[string, LabelSelector, Labels, boolean]>([
    ['everything with the empty selector', selector({}), {}, true],
    ['by one pair', selector({ app: 'web' }), { app: 'web', tier: 'front' }, true],
    ['by every pair', selector({ app: 'web', tier: 'back' }), { app: 'web', tier: 'front' }, false],
    ['by an empty value', selector({ app: '' }), { app: '' }, true],
    ['not an absent key by an empty value', selector({ app: '' }), {}, false],
    [
      'In: one of the values',
      selector({}, { key: 'app', operator: 'In', values: ['a', 'b'] }),
      { app: 'b' },
      true,
    ],
    ['In: absent', selector({}, { key: 'app', operator: 'In', values: ['a', 'b'] }), {}, false],
    [
      'NotIn: one of the values',
      selector({}, { key: 'app', operator: 'NotIn', values: ['a', 'b'] }),
      { app: 'b' },
      false,
    ],
    [
      'NotIn: another value',
      selector({}, { key: 'app', operator: 'NotIn', values: ['a', 'b'] }),
      { app: 'c' },
      true,
    ],
    ['NotIn: absent', selector({}, { key: 'app', operator: 'NotIn', values: ['a'] }), {}, true],
    ['Exists: empty value', selector({}, { key: 'app', operator: 'Exists' }), { app: '' }, true],
    ['Exists: absent', selector({}, { key: 'app', operator: 'Exists' }), {}, false],
    ['DoesNotExist: absent', selector({}, { key: 'app', operator: 'DoesNotExist' }), { tier: 'x' }, true],
    ['DoesNotExist: present', selector({}, { key: 'app', operator: 'DoesNotExist' }), { app: '' }, false],
    [
      'by both forms, and',
      selector({ app: 'web' }, { key: 'tier', operator: 'Exists' }),
      { app: 'web' },
      false,
    ],
    [
      'by all expressions',
      selector({}, { key: 'a', operator: 'Exists' }, { key: 'b', operator: 'Exists' }),
      { a: '1' },
      false,
    ],
    [
      'by a key that every object inherits',
      selector({}, { key: 'constructor', operator: 'Exists' }),
      {},
      false,
    ],
  ])('%s', (_, value, labels, expected) => {
    expect(selects(value, labels)).toBe(expected);
  });
});

describe('canonicalSelector', () => {
  it.each<[string, LabelSelector]>([
    ['', selector({})],
    ['app=web,tier=front', selector({ tier: 'front', app: 'web' })],
    ['app=web', selector({ app: 'web' }, { key: 'app', operator: 'In', values: ['web'] })],
    ['app in (a,b)', selector({}, { key: 'app', operator: 'In', values: ['b', 'a', 'b'] })],
    ['app!=a', selector({}, { key: 'app', operator: 'NotIn', values: ['a'] })],
    ['app notin (a,b)', selector({}, { key: 'app', operator: 'NotIn', values: ['b', 'a'] })],
    [
      '!canary,example.org/app',
      selector(
        {},
        { key: 'example.org/app', operator: 'Exists' },
        { key: 'canary', operator: 'DoesNotExist' },
      ),
    ],
    ['app=""', selector({ app: '' })],
    ['app="a,b=c"', selector({ app: 'a,b=c' })],
  ])('prints %j', (text, value) => {
    expect(canonicalSelector(value)).toBe(text);
  });

  it('never prints two selectors alike that select differently', () => {
    fc.assert(
      fc.property(labelSelector, labelSelector, anyLabels, (one, other, labels) => {
        fc.pre(canonicalSelector(one) === canonicalSelector(other));
        expect(selects(one, labels)).toBe(selects(other, labels));
      }),
      { maxSkipsPerRun: 10_000 },
    );
  });

  it('prints every spelling of a selector alike', () => {
    fc.assert(
      fc.property(labelSelector, ({ matchLabels, matchExpressions }) => {
        const pairs = Object.entries(matchLabels).map(
          ([key, value]): LabelRequirement => ({ key, operator: 'In', values: [value, value] }),
        );
        const respelled = {
          matchLabels: {},
          matchExpressions: [...matchExpressions.toReversed(), ...pairs, ...matchExpressions],
        };
        expect(canonicalSelector(respelled)).toBe(canonicalSelector({ matchLabels, matchExpressions }));
      }),
    );
  });
});
