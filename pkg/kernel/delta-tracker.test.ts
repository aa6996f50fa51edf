import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeltaTracker } from './delta-tracker.ts';

function tracker(): DeltaTracker<string, string, string> {
  return new DeltaTracker((desired, applied) => desired === applied.toUpperCase());
}

describe('DeltaTracker', () => {
  test('knows what is missing, different and left over, by its own notion of the same', () => {
    const chains = tracker();
    chains.setDesired('missing', 'A');
    chains.setDesired('different', 'B');
    chains.setDesired('same', 'C');
    chains.replaceApplied(
      new Map([
        ['different', 'x'],
        ['same', 'c'],
        ['left over', 'd'],
      ]),
    );
    expect([...chains.pending()].toSorted()).toEqual(['different', 'left over', 'missing']);
  });

  test('forgets a change that is taken back', () => {
    const chains = tracker();
    chains.setDesired('a', 'A');
    chains.setApplied('a', 'a');
    chains.setDesired('a', 'B');
    expect([...chains.pending()]).toEqual(['a']);
    chains.setDesired('a', 'A');
    expect([...chains.pending()]).toEqual([]);
    chains.removeDesired('a');
    expect([...chains.pending()]).toEqual(['a']);
    chains.setApplied('a', undefined);
    expect([...chains.pending()]).toEqual([]);
  });

  test('the difference is right after any sequence', () => {
    const key = fc.constantFrom('a', 'b', 'c');
    const value = fc.constantFrom('X', 'Y');
    const step = fc.oneof(
      fc.record({ kind: fc.constant('desired' as const), key, value: fc.option(value) }),
      fc.record({ kind: fc.constant('applied' as const), key, value: fc.option(value) }),
      fc.record({ kind: fc.constant('all' as const), all: fc.dictionary(key, value) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const chains = tracker();
        const desired = new Map<string, string>();
        let applied = new Map<string, string>();
        for (const one of steps) {
          if (one.kind === 'all') {
            applied = new Map(Object.entries(one.all));
            chains.replaceApplied(new Map(applied));
          } else if (one.kind === 'desired') {
            if (one.value === null) chains.removeDesired(one.key);
            else chains.setDesired(one.key, one.value);
            if (one.value === null) desired.delete(one.key);
            else desired.set(one.key, one.value);
          } else {
            chains.setApplied(one.key, one.value ?? undefined);
            if (one.value === null) applied.delete(one.key);
            else applied.set(one.key, one.value);
          }
        }
        const expected = ['a', 'b', 'c'].filter((one) => desired.get(one) !== applied.get(one));
        expect([...chains.pending()].toSorted()).toEqual(expected);
      }),
    );
  });
});
