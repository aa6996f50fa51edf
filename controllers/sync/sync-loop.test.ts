import { beforeEach, describe, expect, test } from 'vitest';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig } from '../../pkg/config/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { endpointSlice, service } from '../../test/support/service-objects.ts';
import { PolicyController } from '../policies/policy-controller.ts';
import { ServiceController } from '../services/service-controller.ts';
import { SyncLoop } from './sync-loop.ts';

const refused = { exitCode: 2, stderr: 'ip6tables-restore: line 2 failed' };
const kubeProxyIsBack = { stdout: '*nat\n:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\nCOMMIT\n' };

describe('SyncLoop', () => {
  let clock: FakeClock;
  let log: RecordedLog;
  let fake: FakeFamilies;
  let store: Store;
  let loop: SyncLoop;
  let otherProxy: string | undefined;
  let syncs: number;
  let observed: string[];

  beforeEach(() => {
    clock = new FakeClock();
    log = recordedLog();
    fake = fakeFamilies(clock);
    store = new Store();
    otherProxy = undefined;
    syncs = 0;
    observed = [];
    const parsed = parseRuleConfig({ manifests: 'x', nodeName: 'node' });
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    const states = fake.families.map((family) => family.state);
    const { config } = parsed;
    loop = new SyncLoop({
      clock,
      log,
      store,
      services: new ServiceController({
        store,
        config,
        tcpBeLiberal: false,
        states,
        interfaceAddresses: () => [],
      }),
      policies: new PolicyController({ store, config, states, cniResults: () => [] }),
      families: fake.families,
      minSyncPeriodMs: undefined,
      mayWrite: () => otherProxy === undefined,
      onOtherProxy: (message) => {
        otherProxy = message;
      },
      observer: {
        queued: () => undefined,
        began: () => undefined,
        synced: ({ family, write, isRepair }) => {
          const what = write === undefined ? 'nothing' : isRepair ? 'a repair' : 'a change';
          observed.push(`${family}: ${what}`);
        },
        failed: (family) => observed.push(`${family}: failed`),
      },
      onSynced: async () => {
        syncs += 1;
      },
    });
    store.upsert(service());
    store.upsert(endpointSlice(['10.0.0.1']));
  });

  async function start(): Promise<void> {
    void loop.start();
    await clock.advance(0);
    await clock.advance(0);
  }

  test('reads both families before it writes anything', async () => {
    await start();
    const ran = fake.ran();
    const firstWrite = ran.findIndex((line) => line.includes('restore'));
    expect(ran.slice(0, firstWrite).toSorted()).toEqual([
      'ip6tables-nft-save -t filter',
      'ip6tables-nft-save -t nat',
      'ipset save',
      'ipset save',
      'iptables-nft-save -t filter',
      'iptables-nft-save -t nat',
    ]);
    expect(ran.slice(firstWrite)).toContain('iptables-nft-restore');
    expect(ran.slice(firstWrite)).toContain('ip6tables-nft-restore');
    expect(syncs).toBe(1);
  });

  test('writes nothing when nothing changed, without a look at the kernel', async () => {
    await start();
    fake.ran();
    await clock.advance(60_000);
    loop.run();
    await clock.advance(60_000);
    expect(syncs).toBe(2);
    expect(fake.ran()).toEqual([]);
  });

  test('writes a changed Service, and its family only', async () => {
    await start();
    await clock.advance(10_000);
    fake.ran();
    store.upsert(endpointSlice(['10.0.0.1', '10.0.0.2']));
    loop.run();
    await clock.advance(1000);
    expect(fake.ran().filter((line) => line.includes('tables'))).toEqual(['iptables-nft-restore']);
    expect(log.lines.filter((line) => line.startsWith('WARN'))).toEqual([]);
  });

  test('writes one family when the other fails, reads that one back, and tries it again', async () => {
    fake.answer('IPv6', 'restore', refused);
    await start();
    expect(log.lines).toContain('INFO IPv4 rules written');
    expect(log.lines).toContainEqual(
      expect.stringMatching(/^ERROR IPv6 rules not written, next try in \d+ ms$/),
    );
    expect(syncs).toBe(0);
    fake.ran();
    fake.answer('IPv6', 'restore', undefined);
    await clock.advance(800);
    const ran = fake.ran().filter((line) => line.includes('tables'));
    expect(ran.slice(0, 2).toSorted()).toEqual(['ip6tables-nft-save -t filter', 'ip6tables-nft-save -t nat']);
    expect(ran.slice(2)).toContain('ip6tables-nft-restore');
    expect(ran.filter((line) => line.startsWith('iptables'))).toEqual([]);
    expect(log.lines).toContain('INFO IPv6 rules written');
    expect(log.lines.filter((line) => line.includes('somebody else'))).toEqual([]);
    expect(syncs).toBe(1);
    expect(observed).toEqual(['IPv4: a change', 'IPv6: failed', 'IPv4: nothing', 'IPv6: a change']);
  });

  test('writes the family that can be read when the other can not', async () => {
    fake.answer('IPv6', 'save', { exitCode: 1, stderr: 'broken' });
    await start();
    expect(fake.ran()).toContain('iptables-nft-restore');
    expect(log.lines).toContainEqual(
      expect.stringMatching(/^ERROR IPv6 rules not written, next try in \d+ ms$/),
    );
  });

  test('names both families when both fail', async () => {
    fake.answer('IPv4', 'restore', refused);
    fake.answer('IPv6', 'restore', refused);
    await start();
    expect(log.lines.filter((line) => line.startsWith('ERROR'))).toEqual([
      expect.stringMatching(/^ERROR IPv4 rules not written, next try in \d+ ms$/),
      expect.stringMatching(/^ERROR IPv6 rules not written, next try in \d+ ms$/),
    ]);
  });

  test('repairs what somebody else changed, and says that it was somebody else', async () => {
    await start();
    await clock.advance(10_000);
    fake.ran();
    loop.recheck('a test');
    await clock.advance(1000);
    expect(fake.ran()).toContain('iptables-nft-restore');
    expect(log.lines).toContainEqual(
      expect.stringMatching(/^WARN IPv4 rules were changed by somebody else: repaired filter /),
    );
    expect(observed.toSorted().slice(0, 2)).toEqual(['IPv4: a change', 'IPv4: a repair']);
  });

  test('stands back when another proxy writes, whatever changes after that', async () => {
    await start();
    await clock.advance(10_000);
    fake.answer('IPv4', 'save', kubeProxyIsBack);
    fake.ran();
    loop.recheck('a test');
    await clock.advance(1000);
    expect(otherProxy).toContain('another proxy writes IPv4 Service rules');
    store.upsert(service({ name: 'svc2' }));
    loop.run();
    await clock.advance(10_000);
    expect(fake.ran().filter((line) => line.includes('restore'))).toEqual([]);
  });
});
