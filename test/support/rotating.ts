import { createHash } from 'node:crypto';

/** The variable that says that of long tests only some cases run: a commit, which decides which. */
export const choiceVariable = 'WEIR_TEST_CHOICE';

/**
 * The cases of a long test that run now: all of them, or `count` where $WEIR_TEST_CHOICE holds a commit. Neighbours in the list are chosen
 * together, and another commit or another `name` begins elsewhere, so that in some commits' time all have had their turn.
 */
export function rotating<T>(
  name: string,
  cases: readonly T[],
  count = 1,
  choice = process.env[choiceVariable] ?? '',
): readonly T[] {
  if (choice === '' || count >= cases.length) return cases;
  const hash = createHash('sha256').update(`${choice} ${name}`).digest();
  const first = hash.readUInt32BE(0) % cases.length;
  return [...cases, ...cases].slice(first, first + count);
}
