import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DropTotals } from './drop-totals.ts';

const chain = 'WEIR-INGRESS-AAAAAAAAAAAAAAA';

function totalOf(totals: DropTotals, name: string = chain, now = 0): number | undefined {
  return totals.totals(now).find(([one]) => one === name)?.[1];
}

test('counting starts with the first reading', () => {
  const totals = new DropTotals();
  totals.keep([chain], 0);
  totals.read('IPv4', new Map([[chain, 1000]]));
  expect(totalOf(totals)).toBe(0);
  totals.read('IPv4', new Map([[chain, 1007]]));
  expect(totalOf(totals)).toBe(7);
});

test('a chain that comes later counts from its first packet', () => {
  const totals = new DropTotals();
  totals.read('IPv4', new Map());
  totals.read('IPv4', new Map([[chain, 4]]));
  expect(totalOf(totals)).toBe(4);
});

test('a rewrite starts the rule again from zero, not the total', () => {
  const totals = new DropTotals();
  for (const count of [0, 10, 3, 5]) totals.read('IPv4', new Map([[chain, count]]));
  expect(totalOf(totals)).toBe(15);
  totals.read('IPv4', new Map());
  totals.read('IPv4', new Map([[chain, 5]]));
  expect(totalOf(totals)).toBe(20);
});

test('both families add up', () => {
  const totals = new DropTotals();
  for (const family of ['IPv4', 'IPv6'] as const) totals.read(family, new Map([[chain, 1]]));
  totals.read('IPv4', new Map([[chain, 3]]));
  totals.read('IPv6', new Map([[chain, 5]]));
  expect(totalOf(totals)).toBe(6);
});

test('a profile that is gone is shown a while longer, and goes on where it was when it comes back', () => {
  const totals = new DropTotals();
  totals.read('IPv4', new Map([[chain, 0]]));
  totals.read('IPv4', new Map([[chain, 5]]));
  totals.keep([chain], 0);
  totals.keep([], 1000);
  expect(totalOf(totals, chain, 600_999)).toBe(5);
  expect(totalOf(totals, chain, 601_000)).toBeUndefined();
  totals.keep([chain], 700_000);
  expect(totalOf(totals, chain, 700_000)).toBe(5);
});

test('remembers a thousand that are gone, the latest ones', () => {
  const totals = new DropTotals();
  for (let index = 0; index < 1200; index++) {
    totals.keep([`chain-${index}`], index);
    totals.keep([], index);
  }
  const known = totals.totals(1200).map(([name]) => name);
  expect(known).toHaveLength(1000);
  expect(known).not.toContain('chain-199');
  expect(known).toContain('chain-200');
});

test('no history of packets, rewrites, gone chains and failed readings makes a total fall, nor rise above what was dropped', () => {
  const chains = ['A', 'B', 'C'];
  const step = fc.record({
    chain: fc.constantFrom(...chains),
    packets: fc.nat(50),
    what: fc.constantFrom('drop', 'rewrite', 'remove'),
    isRead: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const totals = new DropTotals();
      totals.read('IPv4', new Map());
      const kernel = new Map<string, number>();
      const dropped = new Map<string, number>();
      let before = new Map<string, number>();
      for (const { chain, packets, what, isRead } of steps) {
        if (what === 'remove') kernel.delete(chain);
        else kernel.set(chain, (what === 'rewrite' ? 0 : (kernel.get(chain) ?? 0)) + packets);
        if (what !== 'remove') dropped.set(chain, (dropped.get(chain) ?? 0) + packets);
        if (!isRead) continue;
        totals.read('IPv4', new Map(kernel));
        totals.keep(chains, 0);
        const now = new Map(totals.totals(0));
        for (const name of chains) {
          expect(now.get(name) ?? 0).toBeGreaterThanOrEqual(before.get(name) ?? 0);
          expect(now.get(name) ?? 0).toBeLessThanOrEqual(dropped.get(name) ?? 0);
        }
        before = now;
      }
    }),
  );
});
