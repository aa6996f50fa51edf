import { beforeEach, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { AddressWatch } from './address-watch.ts';

let clock: FakeClock;
let addresses: readonly string[];
let used: readonly string[];
let isWorthwhile: boolean;
let reads: number;
let changes: number;
let watch: AddressWatch;
let running: Promise<void>;

beforeEach(() => {
  clock = new FakeClock();
  addresses = ['192.168.0.1'];
  used = addresses;
  isWorthwhile = true;
  reads = 0;
  changes = 0;
  watch = new AddressWatch({
    clock,
    addresses: () => {
      reads += 1;
      return addresses;
    },
    used: () => used,
    isWorthwhile: () => isWorthwhile,
    onChange: () => {
      changes += 1;
    },
  });
  running = watch.start();
});

test('reports an address that comes or goes, once', async () => {
  await clock.advance(4000);
  expect(changes).toBe(0);
  addresses = ['192.168.0.1', '192.168.0.2'];
  await clock.advance(2000);
  expect(changes).toBe(1);
  // Nothing could be written meanwhile.
  await clock.advance(10_000);
  expect(changes).toBe(1);
  used = addresses;
  addresses = ['192.168.0.2'];
  await clock.advance(2000);
  expect(changes).toBe(2);
});

test('reports what comes back before the rules have followed', async () => {
  addresses = [];
  await clock.advance(2000);
  used = [];
  addresses = ['192.168.0.1'];
  await clock.advance(2000);
  expect(changes).toBe(2);
});

test('says nothing of what the rules have already', async () => {
  addresses = ['192.168.0.2'];
  used = addresses;
  await clock.advance(10_000);
  expect(changes).toBe(0);
});

test('does not even read while no rule depends on the addresses', async () => {
  isWorthwhile = false;
  addresses = [];
  await clock.advance(10_000);
  expect([reads, changes]).toEqual([0, 0]);
});

test('ends when it is stopped', async () => {
  watch.stop();
  await running;
  addresses = [];
  await clock.advance(10_000);
  expect(changes).toBe(0);
});
