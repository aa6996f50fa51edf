import { beforeEach, expect, test } from 'vitest';
import type { FamilyTools } from '../../pkg/apply/index.ts';
import { countedRules } from '../../pkg/service/iptables/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { PacketCounter } from './packet-counter.ts';

const tools = (family: 'IPv4' | 'IPv6', save: string): FamilyTools => ({
  family,
  backend: 'nft',
  save,
  restore: 'unused',
  list: 'unused',
});
const saved = (counts: Partial<Record<keyof typeof countedRules, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => {
      const { chain, rule } = countedRules[name as keyof typeof countedRules];
      return `[${count}:1] -A ${chain} ${rule}\n`;
    })
    .join('');

let clock: FakeClock;
let ipv4: string | undefined;
let totals: unknown;
let errors: unknown[];
let counter: PacketCounter;

beforeEach(() => {
  clock = new FakeClock();
  errors = [];
  totals = undefined;
  counter = new PacketCounter({
    clock,
    commands: fakeCommandRunner({
      save4: () => (ipv4 === undefined ? { exitCode: 1 } : { stdout: ipv4 }),
      save6: () => ({ stdout: saved({ invalidDropped: 1 }) }),
    }),
    tools: [tools('IPv4', 'save4'), tools('IPv6', 'save6')],
    metrics: {
      setPackets: (packets) => {
        totals = { ...packets };
      },
    },
    onError: (error) => errors.push(error),
  });
});

async function scrape(): Promise<unknown> {
  await clock.advance(5000);
  await counter.refresh();
  return totals;
}

test('adds up both families, with what was counted before', async () => {
  ipv4 = saved({ invalidDropped: 3, localhostAccepted: 10 });
  expect(await scrape()).toEqual({ invalidDropped: 4, localhostAccepted: 10 });
  ipv4 = saved({ invalidDropped: 3, localhostAccepted: 12 });
  expect(await scrape()).toEqual({ invalidDropped: 4, localhostAccepted: 12 });
});

test('goes on counting when rules were written anew or could not be read', async () => {
  ipv4 = saved({ localhostAccepted: 10 });
  await scrape();
  ipv4 = undefined;
  expect(await scrape()).toEqual({ invalidDropped: 1, localhostAccepted: 10 });
  expect(errors).toHaveLength(1);
  ipv4 = saved({ localhostAccepted: 2 });
  expect(await scrape()).toEqual({ invalidDropped: 1, localhostAccepted: 12 });
});
