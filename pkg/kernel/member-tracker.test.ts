import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemberTracker } from './member-tracker.ts';

function changes(tracker: MemberTracker): readonly [readonly string[], readonly string[]] {
  return [[...tracker.toAdd()].toSorted(), [...tracker.toRemove()].toSorted()];
}

describe('MemberTracker', () => {
  test('adds what is wanted and removes what is not', () => {
    const tracker = new MemberTracker();
    tracker.replaceApplied(['old', 'kept']);
    tracker.add('kept');
    tracker.add('new');
    expect(changes(tracker)).toEqual([['new'], ['old']]);
  });

  test('keeps a member until its last owner lets go', () => {
    const tracker = new MemberTracker();
    tracker.add('a');
    tracker.add('a');
    tracker.added(['a']);
    tracker.remove('a');
    expect(changes(tracker)).toEqual([[], []]);
    tracker.remove('a');
    expect(changes(tracker)).toEqual([[], ['a']]);
  });

  test('forgets a member that came and went between two writes', () => {
    const tracker = new MemberTracker();
    tracker.add('a');
    tracker.remove('a');
    expect(changes(tracker)).toEqual([[], []]);
  });

  test('a member that is wanted again while it is being removed is added again', () => {
    const tracker = new MemberTracker();
    tracker.replaceApplied(['a']);
    tracker.add('a');
    tracker.removed(['a']);
    expect(changes(tracker)).toEqual([['a'], []]);
  });

  test('a member that is let go while it is being added is removed again', () => {
    const tracker = new MemberTracker();
    tracker.add('a');
    tracker.remove('a');
    tracker.added(['a']);
    expect(changes(tracker)).toEqual([[], ['a']]);
  });

  test('the difference is right after any sequence', () => {
    const member = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({ kind: fc.constantFrom('add', 'remove', 'added', 'removed'), member }),
      fc.record({ kind: fc.constant('read'), members: fc.uniqueArray(member) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const tracker = new MemberTracker();
        const owners = new Map<string, number>();
        let applied = new Set<string>();
        for (const one of steps) {
          if ('members' in one) {
            applied = new Set(one.members);
            tracker.replaceApplied(one.members);
            continue;
          }
          const count = owners.get(one.member) ?? 0;
          switch (one.kind) {
            case 'add':
              owners.set(one.member, count + 1);
              tracker.add(one.member);
              break;
            case 'remove':
              if (count === 0) break;
              owners.set(one.member, count - 1);
              tracker.remove(one.member);
              break;
            case 'added':
              applied.add(one.member);
              tracker.added([one.member]);
              break;
            case 'removed':
              applied.delete(one.member);
              tracker.removed([one.member]);
          }
        }
        const isWanted = (one: string): boolean => (owners.get(one) ?? 0) > 0;
        expect(changes(tracker)).toEqual([
          ['a', 'b', 'c'].filter((one) => isWanted(one) && !applied.has(one)),
          ['a', 'b', 'c'].filter((one) => !isWanted(one) && applied.has(one)),
        ]);
      }),
    );
  });
});
