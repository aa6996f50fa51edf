import { beforeEach, expect, test } from 'vitest';
import { WeirError } from '../../pkg/runtime/index.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { type Part, parts } from '../sync/part-ownership.ts';
import { Readiness, type ReadinessOptions } from './readiness.ts';

let log: RecordedLog;
let told: number;
let obstacles: (string | undefined)[];
let bridgesAreRight: boolean;
let looksAtBridges: number;
let set: string[];
let refuse: boolean;
let options: ReadinessOptions;
let readiness: Readiness;

beforeEach(() => {
  log = recordedLog();
  told = 0;
  obstacles = [];
  bridgesAreRight = true;
  looksAtBridges = 0;
  set = [];
  refuse = false;
  options = {
    parts,
    bridges: {
      ensure: async () => {
        looksAtBridges += 1;
        return bridgesAreRight;
      },
      get problem() {
        return bridgesAreRight ? undefined : 'policies do not hold';
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
    onObstacle: (obstacle) => obstacles.push(obstacle),
    onReady: () => {
      told += 1;
    },
  };
  readiness = readinessOf(parts);
});

function readinessOf(some: readonly Part[]): Readiness {
  return new Readiness({ ...options, parts: some });
}

const both: readonly Part[] = ['policies', 'services'];

function synced({
  read = [],
  inForce = both,
  servesLocalhost = false,
}: {
  readonly read?: readonly Part[];
  readonly inForce?: readonly Part[];
  readonly servesLocalhost?: boolean;
}): Promise<void> {
  return readiness.synced({ inForce: new Set(inForce), read: new Set(read), servesLocalhost });
}

test('is ready after the first sync, and says so once', async () => {
  await synced({ read: both });
  await synced({});
  expect(told).toBe(1);
  expect(log.lines).toEqual(['INFO ready: every Service is in the kernel']);
});

test('is not ready while packets between pods on a bridge pass by the rules', async () => {
  bridgesAreRight = false;
  await synced({ read: both });
  await synced({});
  expect(told).toBe(0);
  bridgesAreRight = true;
  await synced({});
  expect(told).toBe(1);
});

test('says what stands against policies, and when it is over, also after it was ready', async () => {
  await synced({ read: both });
  bridgesAreRight = false;
  await synced({});
  expect(obstacles).toEqual([undefined]);
  await synced({ read: ['policies'] });
  expect(obstacles).toEqual([undefined, 'policies do not hold']);
  bridgesAreRight = true;
  await synced({});
  expect(obstacles.at(-1)).toBeUndefined();
  expect(told).toBe(1);
});

test('is not ready while a part is not in force, and looks after the other one', async () => {
  await synced({ read: both, inForce: ['policies'], servesLocalhost: true });
  expect({ told, looksAtBridges, set }).toEqual({ told: 0, looksAtBridges: 1, set: [] });
  await synced({ inForce: ['services'], servesLocalhost: true });
  expect({ told, set }).toEqual({ told: 0, set: ['net/ipv4/conf/all/route_localnet=1'] });
  await synced({});
  expect(told).toBe(1);
});

test('looks at the bridges again only when the kernel was read, for others set the same settings', async () => {
  await synced({ read: both });
  await synced({});
  expect(looksAtBridges).toBe(1);
  await synced({ read: both });
  expect(looksAtBridges).toBe(2);
});

test('routes loopback addresses only where node ports answer there', async () => {
  await synced({ read: both });
  expect(set).toEqual([]);
  await synced({ servesLocalhost: true });
  expect(set).toEqual(['net/ipv4/conf/all/route_localnet=1']);
});

test('is ready all the same where the setting can not be written, and says once what to do', async () => {
  refuse = true;
  await synced({ read: both, servesLocalhost: true });
  await synced({ servesLocalhost: true });
  expect(told).toBe(1);
  const warnings = (): readonly string[] => log.lines.filter((line) => line.startsWith('WARN'));
  expect(warnings()).toEqual([
    expect.stringMatching(/^WARN node ports do not answer on 127\.0\.0\.1: run "weir run --init-only"/),
  ]);
  refuse = false;
  await synced({ servesLocalhost: true });
  refuse = true;
  await synced({ servesLocalhost: true });
  expect(warnings()).toHaveLength(2);
});

test('policies alone are ready without Services, and once bridges are right', async () => {
  readiness = readinessOf(['policies']);
  bridgesAreRight = false;
  await synced({ inForce: ['policies'], servesLocalhost: true });
  expect(told).toBe(0);
  bridgesAreRight = true;
  await synced({ inForce: ['policies'], servesLocalhost: true });
  expect(told).toBe(1);
  expect(log.lines).toContain('INFO ready: every policy is in the kernel');
  expect(set).toEqual([]);
});

test('Services alone are ready without a look at bridges', async () => {
  readiness = readinessOf(['services']);
  await synced({ inForce: ['services'] });
  expect([told, looksAtBridges]).toEqual([1, 0]);
});
