import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Attempt, refusedAmong } from './refused-among.ts';

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

/** A program that takes all but the bad ones; `naming` of these it names. */
function program(bad: ReadonlySet<number>, naming: 'all' | 'first' | 'none') {
  const attempts: (readonly number[])[] = [];
  const attempt = (elements: readonly number[]): Promise<Attempt> => {
    attempts.push(elements);
    const refused = elements.flatMap((element, index) =>
      bad.has(element) ? [{ index, why: `because of ${element}` }] : [],
    );
    if (refused.length === 0) return Promise.resolve({ outcome: 'accepted' });
    const named = naming === 'all' ? refused : refused.slice(0, naming === 'first' ? 1 : 0);
    return Promise.resolve({ outcome: 'refused', named, why: refused[0]?.why ?? '' });
  };
  return { attempts, attempt };
}

const never = (): boolean => false;

test.each(['all', 'first', 'none'] as const)(
  'finds every refused element and no other where a program names %s of them',
  async (naming) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 200 }), fc.array(fc.nat(199)), async (count, list) => {
        const bad = new Set(list.filter((element) => element < count));
        const { attempt } = program(bad, naming);
        const found = (await refusedAmong(numbers(count), attempt, never)) ?? [];
        expect(found.map(({ element }) => element).toSorted((a, b) => a - b)).toEqual(
          [...bad].toSorted((a, b) => a - b),
        );
        for (const { element, why } of found) expect(why).toBe(`because of ${element}`);
      }),
    );
  },
);

test.each([
  ['none', 1, 19],
  ['none', 5, 91],
  ['first', 5, 11],
  ['all', 5, 7],
] as const)(
  'a program that names %s of %i bad ones among 60,000 is run at most %i times',
  async (naming, count, most) => {
    const bad = new Set(numbers(count).map((index) => 7919 * (index + 1)));
    const { attempt, attempts } = program(bad, naming);
    expect(await refusedAmong(numbers(60_000), attempt, never)).toHaveLength(count);
    expect(attempts.length).toBeLessThanOrEqual(most);
  },
);

test('ends the search when it takes long, but not before it has found one', async () => {
  const { attempt } = program(new Set([3, 77]), 'none');
  expect((await refusedAmong(numbers(100), attempt, () => true))?.map(({ element }) => element)).toEqual([3]);
});

test('suspects nobody when a failure was about something else', async () => {
  const { attempt } = program(new Set([3]), 'none');
  let calls = 0;
  const flaky = (elements: readonly number[]): Promise<Attempt> => {
    calls += 1;
    return calls === 3 ? Promise.resolve({ outcome: 'inconclusive' }) : attempt(elements);
  };
  expect(await refusedAmong(numbers(100), flaky, never)).toBeUndefined();
});

test('suspects nobody for what is refused only together', async () => {
  const together = (elements: readonly number[]): Promise<Attempt> =>
    Promise.resolve(
      elements.includes(1) && elements.includes(99)
        ? { outcome: 'refused', named: [], why: '' }
        : { outcome: 'accepted' },
    );
  expect(await refusedAmong(numbers(100), together, never)).toEqual([]);
});
