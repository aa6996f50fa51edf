import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergePortRanges, parsePort, parsePortRange } from './port-range.ts';

describe('parsePort', () => {
  it.each([
    ['1', 1],
    ['80', 80],
    ['65535', 65535],
  ])('reads %s', (text, port) => {
    expect(parsePort(text)).toBe(port);
  });

  it.each(['', '0', '65536', '99999', '080', '+80', '-1', '8e1', '80.0', ' 80', '80\n', 'http', '٨٠'])(
    'refuses %j',
    (text) => {
      expect(parsePort(text)).toBeUndefined();
    },
  );
});

describe('parsePortRange', () => {
  it.each([
    ['80', { first: 80, last: 80 }],
    ['80:90', { first: 80, last: 90 }],
    ['80-90', { first: 80, last: 90 }],
    ['80-80', { first: 80, last: 80 }],
    ['1:65535', { first: 1, last: 65535 }],
  ])('reads %s', (text, range) => {
    expect(parsePortRange(text)).toEqual(range);
  });

  it.each(['', '-', ':80', '80:', '90:80', '0:80', '80:65536', '80:90:100', '80-90-100', '80,90', '80..90'])(
    'refuses %j',
    (text) => {
      expect(parsePortRange(text)).toBeUndefined();
    },
  );
});

describe('mergePortRanges', () => {
  it('joins overlapping ranges and neighbours, and keeps gaps', () => {
    const ranges = [
      { first: 90, last: 100 },
      { first: 443, last: 443 },
      { first: 80, last: 85 },
      { first: 86, last: 89 },
      { first: 82, last: 83 },
      { first: 102, last: 102 },
    ];
    expect(mergePortRanges(ranges)).toEqual([
      { first: 80, last: 100 },
      { first: 102, last: 102 },
      { first: 443, last: 443 },
    ]);
  });

  const port = fc.integer({ min: 1, max: 40 });
  const range = fc.tuple(port, port).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
  const portsOf = (ranges: readonly { first: number; last: number }[]) =>
    Array.from({ length: 42 }, (_, p) => p).filter((p) =>
      ranges.some(({ first, last }) => first <= p && p <= last),
    );

  it('contains the same ports, sorted, with a gap between any two', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), (ranges) => {
        const merged = mergePortRanges(ranges);
        expect(portsOf(merged)).toEqual(portsOf(ranges));
        for (const [index, next] of merged.slice(1).entries())
          expect(next.first).toBeGreaterThan((merged[index]?.last ?? 0) + 1);
      }),
    );
  });
});
