import { beforeEach, expect, test } from 'vitest';
import { countedRules } from '../../pkg/service/iptables/index.ts';
import { PacketCounter } from './packet-counter.ts';

const saved = (counts: Partial<Record<keyof typeof countedRules, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => {
      const { chain, rule } = countedRules[name as keyof typeof countedRules];
      return `[${count}:1] -A ${chain} ${rule}\n`;
    })
    .join('');
const ipv6 = ['IPv6', saved({ invalidDropped: 1 })] as const;

let totals: unknown;
let counter: PacketCounter;

beforeEach(() => {
  totals = undefined;
  counter = new PacketCounter({
    setPackets: (packets) => {
      totals = { ...packets };
    },
  });
});

test('adds up both families, with what was counted before', () => {
  counter.read(new Map([['IPv4', saved({ invalidDropped: 3, localhostAccepted: 10 })], ipv6]));
  expect(totals).toEqual({ invalidDropped: 4, localhostAccepted: 10 });
  counter.read(new Map([['IPv4', saved({ invalidDropped: 3, localhostAccepted: 12 })], ipv6]));
  expect(totals).toEqual({ invalidDropped: 4, localhostAccepted: 12 });
});

test('goes on counting when rules were written anew or could not be read', () => {
  counter.read(new Map([['IPv4', saved({ localhostAccepted: 10 })], ipv6]));
  counter.read(new Map([ipv6]));
  expect(totals).toEqual({ invalidDropped: 1, localhostAccepted: 10 });
  counter.read(new Map([['IPv4', saved({ localhostAccepted: 2 })], ipv6]));
  expect(totals).toEqual({ invalidDropped: 1, localhostAccepted: 12 });
});
