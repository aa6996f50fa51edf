import { inspect } from 'node:util';

/** Something the demo was about to claim is not so. */
export class Unexpected extends Error {
  readonly expected: string;
  readonly seen: string;

  constructor(what: string, expected: string, seen: string) {
    super(what);
    this.name = 'Unexpected';
    this.expected = expected;
    this.seen = seen;
  }
}

/** Throws `Unexpected` unless `holds`. `expected` is for people; so is `seen`, unless it is a value to be shown as it is. */
export function expect(holds: boolean, what: string, expected: string, seen: unknown): asserts holds {
  if (holds) return;
  throw new Unexpected(what, expected, typeof seen === 'string' ? seen : inspect(seen, { breakLength: 90 }));
}
