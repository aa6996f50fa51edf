import { beforeEach, expect, test } from 'vitest';
import { WeirError } from '../../pkg/runtime/index.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { Readiness } from './readiness.ts';

let log: RecordedLog;
let told: boolean[];
let bridgesAreRight: boolean;
let looksAtBridges: number;
let set: string[];
let refuse: boolean;
let readiness: Readiness;

beforeEach(() => {
  log = recordedLog();
  told = [];
  bridgesAreRight = true;
  looksAtBridges = 0;
  set = [];
  refuse = false;
  readiness = new Readiness({
    bridges: {
      ensure: async () => {
        looksAtBridges += 1;
        return bridgesAreRight;
      },
    },
    sysctl: {
      ensure: async (name, value) => {
        if (refuse) throw new WeirError('WEIR_SYSCTL_FAILED', 'read-only file system');
        set.push(`${name}=${value}`);
        return true;
      },
    },
    log,
    onChange: (isReady) => told.push(isReady),
  });
});

test('is ready after the first sync, and says so once', async () => {
  await readiness.synced({ wereRead: true, servesLocalhost: false });
  await readiness.synced({ wereRead: false, servesLocalhost: false });
  expect(told).toEqual([true]);
  expect(log.lines).toEqual(['INFO ready: every Service is in the kernel']);
});

test('is not ready while packets between pods on a bridge pass by the rules', async () => {
  bridgesAreRight = false;
  await readiness.synced({ wereRead: true, servesLocalhost: false });
  await readiness.synced({ wereRead: false, servesLocalhost: false });
  expect(told).toEqual([]);
  bridgesAreRight = true;
  await readiness.synced({ wereRead: false, servesLocalhost: false });
  expect(told).toEqual([true]);
});

test('looks at the bridges again only when the kernel was read, for others set the same settings', async () => {
  await readiness.synced({ wereRead: true, servesLocalhost: false });
  await readiness.synced({ wereRead: false, servesLocalhost: false });
  expect(looksAtBridges).toBe(1);
  await readiness.synced({ wereRead: true, servesLocalhost: false });
  expect(looksAtBridges).toBe(2);
});

test('routes loopback addresses only where node ports answer there', async () => {
  await readiness.synced({ wereRead: true, servesLocalhost: false });
  expect(set).toEqual([]);
  await readiness.synced({ wereRead: false, servesLocalhost: true });
  expect(set).toEqual(['net/ipv4/conf/all/route_localnet=1']);
});

test('is ready all the same where the setting can not be written, and says once what to do', async () => {
  refuse = true;
  await readiness.synced({ wereRead: true, servesLocalhost: true });
  await readiness.synced({ wereRead: false, servesLocalhost: true });
  expect(told).toEqual([true]);
  const warnings = (): readonly string[] => log.lines.filter((line) => line.startsWith('WARN'));
  expect(warnings()).toEqual([
    expect.stringMatching(/^WARN node ports do not answer on 127\.0\.0\.1: run "weir run --init-only"/),
  ]);
  refuse = false;
  await readiness.synced({ wereRead: false, servesLocalhost: true });
  refuse = true;
  await readiness.synced({ wereRead: false, servesLocalhost: true });
  expect(warnings()).toHaveLength(2);
});
