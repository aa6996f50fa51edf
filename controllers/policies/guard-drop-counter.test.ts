import { beforeEach, expect, test } from 'vitest';
import { type NamespacedName, namespacedName } from '../../pkg/api/index.ts';
import type { GuardDropTotal } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { GuardDropCounter, type GuardDropCounterOptions } from './guard-drop-counter.ts';

let clock: FakeClock;
let log: RecordedLog;
let totals: readonly GuardDropTotal[];
let unowned: { readonly ip: string; readonly pod: NamespacedName }[];

beforeEach(() => {
  clock = new FakeClock();
  log = recordedLog();
  totals = [];
  unowned = [];
});

function create(changes: Partial<GuardDropCounterOptions> = {}): GuardDropCounter {
  return new GuardDropCounter({
    families: ['IPv4', 'IPv6'],
    clock,
    log,
    metrics: {
      setGuardDrops: (drops) => {
        totals = drops;
      },
    },
    unowned: () => unowned,
    mayBeInForce: false,
    ...changes,
  });
}

interface Counts {
  readonly from?: number;
  readonly to?: number;
  /** Of the set of closed addresses. */
  readonly fromClosed?: number;
}

function saved({ from = 0, to = 0, fromClosed = 0 }: Counts): ReadonlyMap<Family, string> {
  const rules = [
    `[${from}:0] -A WEIR-FORWARD -s 10.1.0.0/24 -m set ! --match-set WEIR-4-KNOWN src -j DROP`,
    `[${to}:0] -A WEIR-FORWARD -d 10.1.0.0/24 -m set ! --match-set WEIR-4-KNOWN dst -j DROP`,
    `[${fromClosed}:0] -A WEIR-FORWARD -m set --match-set WEIR-4-CLOSED src -j DROP`,
  ];
  return new Map([['IPv4', `*filter\n:WEIR-FORWARD - [0:0]\n${rules.join('\n')}\nCOMMIT\n`]]);
}

const counted = (egress: number, ingress: number): unknown => [
  { family: 'IPv4', direction: 'egress', packets: egress },
  { family: 'IPv4', direction: 'ingress', packets: ingress },
];

test('counts by family and direction, from the first packet on, across rewrites of the rules', () => {
  const counter = create();
  counter.read(saved({ from: 3, to: 1, fromClosed: 2 }));
  expect(totals).toEqual(counted(5, 1));
  counter.read(saved({ from: 1, to: 4 }));
  expect(totals).toEqual(counted(6, 4));
  // No policy, no guard: what was counted stays.
  counter.read(new Map([['IPv4', '*filter\nCOMMIT\n']]));
  expect(totals).toEqual(counted(6, 4));
  counter.read(saved({ from: 2 }));
  expect(totals).toEqual(counted(8, 4));
});

test('does not count what rules of an earlier process had counted', () => {
  const counter = create({ mayBeInForce: true });
  counter.read(saved({ from: 100 }));
  expect(log.lines).toEqual([]);
  counter.read(saved({ from: 103 }));
  expect(totals).toEqual(counted(3, 0));
});

test('says how many, in which ranges, and what to do', () => {
  const counter = create();
  counter.read(saved({}));
  expect(log.lines).toEqual([]);
  counter.read(saved({ from: 3, to: 1 }));
  expect(log.lines).toEqual([
    expect.stringMatching(
      /^WARN --policy-closed-start dropped packets of addresses that no known pod owns \(3 from them, 1 to them\), in 10\.1\.0\.0\/24\. .*--policy-closed-start=off/,
    ),
  ]);
});

test('names the addresses that the runtime gave to unknown pods', () => {
  const counter = create();
  unowned = [{ ip: '10.1.0.7', pod: namespacedName('shop', 'new') }];
  counter.read(saved({ fromClosed: 2 }));
  expect(log.lines).toEqual([
    expect.stringMatching(
      /\(2 from them, 0 to them\), given by the container runtime .*\(10\.1\.0\.7 of shop\/new\)\./,
    ),
  ]);
});

test('says so again after ten minutes, with all that came since', async () => {
  const counter = create();
  counter.read(saved({ from: 1 }));
  await clock.advance(599_000);
  counter.read(saved({ from: 5, to: 2 }));
  expect(log.lines).toHaveLength(1);
  await clock.advance(1000);
  counter.read(saved({ from: 6, to: 2 }));
  expect(log.lines.slice(1)).toEqual([expect.stringContaining('(5 from them, 2 to them)')]);
  await clock.advance(3_600_000);
  counter.read(saved({ from: 6, to: 2 }));
  expect(log.lines).toHaveLength(2);
});
