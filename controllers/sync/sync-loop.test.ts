import { beforeEach, describe, expect, test } from 'vitest';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig } from '../../pkg/config/index.ts';
import { describeElement } from '../../pkg/kernel/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { inputOf } from '../../test/support/fake-command-runner.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import { pod, policy } from '../../test/support/policy-world.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { endpointSlice, service } from '../../test/support/service-objects.ts';
import { PolicyController } from '../policies/policy-controller.ts';
import { ServiceController } from '../services/service-controller.ts';
import { statesOf } from './families.ts';
import type { Part } from './part-ownership.ts';
import { SyncLoop, type SyncResult } from './sync-loop.ts';

const refused = { exitCode: 2, stderr: 'ip6tables-restore: line 2 failed' };
const kubeProxyIsBack = { stdout: '*nat\n:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\nCOMMIT\n' };

describe('SyncLoop', () => {
  let clock: FakeClock;
  let log: RecordedLog;
  let fake: FakeFamilies;
  let store: Store;
  let loop: SyncLoop;
  let answer: 'take over' | 'stand back';
  let held: Part | undefined;
  let isTakingOver: boolean;
  let cameBack: string[];
  let results: SyncResult[];
  let observed: string[];
  let leftOut: string[];
  let canLeaveOut: boolean;

  beforeEach(() => {
    clock = new FakeClock();
    log = recordedLog();
    fake = fakeFamilies(clock);
    store = new Store();
    answer = 'take over';
    held = undefined;
    isTakingOver = false;
    cameBack = [];
    results = [];
    observed = [];
    leftOut = [];
    canLeaveOut = true;
    const parsed = parseRuleConfig({ manifests: 'x', nodeName: 'node' });
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    const { config } = parsed;
    loop = new SyncLoop({
      clock,
      log,
      store,
      services: new ServiceController({
        store,
        config,
        tcpBeLiberal: false,
        states: statesOf(fake.families, 'services'),
        interfaceAddresses: () => [],
      }),
      policies: new PolicyController({
        store,
        config,
        states: statesOf(fake.families, 'policies'),
        cniResults: () => [],
      }),
      families: fake.families,
      minSyncPeriodMs: undefined,
      otherProxy: {
        mayWrite: (part) => part !== held,
        get takesOver() {
          return isTakingOver;
        },
        cameBack: (family) => {
          cameBack.push(family);
          if (answer === 'stand back') held = 'services';
          return answer;
        },
      },
      leftOut: {
        retryWhenDue: () => false,
        refused: (part, refused) => {
          leftOut.push(...refused.map(({ element }) => `${part.part}: ${describeElement(element)}`));
          if (canLeaveOut) store.upsert(endpointSlice([]));
          return canLeaveOut;
        },
      },
      observer: {
        queued: () => undefined,
        began: () => undefined,
        synced: ({ family, part, plan, isRepair }) => {
          const what = plan === undefined ? 'nothing' : isRepair ? 'a repair' : 'a change';
          observed.push(`${family} ${part}: ${what}`);
        },
        failed: ({ family, parts }) => observed.push(`${family} ${parts.join(' and ')}: failed`),
      },
      onSynced: async (result) => {
        results.push(result);
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

  describe('what the kernel refuses', () => {
    const bad = '--to-destination 10.0.0.1:8080';

    beforeEach(() => {
      fake.answerFor('IPv4', [bad], { exitCode: 4, stderr: 'iptables-restore: line 5 failed' });
    });

    test('is left out, and the rest is written at once, without a word of failure', async () => {
      await start();
      await clock.advance(0);
      expect(leftOut).toEqual([expect.stringMatching(`services: rule of nat chain KUBE-SVC-.* ${bad}`)]);
      expect(observed).toContain('IPv4 services: failed');
      await clock.advance(0);
      expect(observed.at(-1)).toMatch(/IPv4 services: a change|IPv6 services/);
      expect(observed).toContain('IPv4 services: a change');
      expect(log.lines.filter((line) => /not written|sync failed/.test(line))).toEqual([]);
    });

    test('is tried again, ever more seldom, when it can not be left out', async () => {
      canLeaveOut = false;
      await start();
      await clock.advance(0);
      const failures = (): readonly string[] => log.lines.filter((line) => line.includes('not written'));
      expect(failures()).toHaveLength(1);
      await clock.advance(600);
      await clock.advance(0);
      expect(failures()).toHaveLength(2);
    });
  });

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
    expect(results).toEqual([
      {
        inForce: new Set(['policies', 'services']),
        read: new Set(['policies', 'services']),
        resync: { what: 'everything', readMs: 0 },
      },
    ]);
  });

  test('writes nothing when nothing changed, without a look at the kernel', async () => {
    await start();
    fake.ran();
    await clock.advance(60_000);
    loop.run();
    await clock.advance(60_000);
    expect(results).toHaveLength(2);
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
    expect(log.lines).toContain('INFO IPv4 service rules written');
    expect(log.lines).toContainEqual(
      expect.stringMatching(/^ERROR IPv6 service rules not written, next try in \d+ ms$/),
    );
    expect(results.at(-1)?.inForce).toEqual(new Set(['policies']));
    fake.ran();
    fake.answer('IPv6', 'restore', undefined);
    await clock.advance(800);
    const ran = fake.ran().filter((line) => line.includes('tables'));
    expect(ran.slice(0, 2).toSorted()).toEqual(['ip6tables-nft-save -t filter', 'ip6tables-nft-save -t nat']);
    expect(ran.slice(2)).toContain('ip6tables-nft-restore');
    expect(ran.filter((line) => line.startsWith('iptables'))).toEqual([]);
    expect(log.lines).toContain('INFO IPv6 service rules written');
    expect(log.lines.filter((line) => line.includes('somebody else'))).toEqual([]);
    expect(results.at(-1)?.inForce).toEqual(new Set(['policies', 'services']));
    const ofServices = observed.filter((what) => what.includes('services'));
    expect(ofServices).toEqual([
      'IPv4 services: a change',
      'IPv6 services: failed',
      'IPv4 services: nothing',
      'IPv6 services: a change',
    ]);
  });

  test('writes the family that can be read when the other can not', async () => {
    fake.answer('IPv6', 'save', { exitCode: 1, stderr: 'broken' });
    await start();
    expect(fake.ran()).toContain('iptables-nft-restore');
    expect(log.lines.filter((line) => line.startsWith('ERROR'))).toEqual([
      expect.stringMatching(/^ERROR IPv6 policy rules not written, next try in \d+ ms$/),
      expect.stringMatching(/^ERROR IPv6 service rules not written, next try in \d+ ms$/),
    ]);
    expect(results.at(-1)?.inForce).toEqual(new Set());
  });

  test.each([
    ['can not be read', ['-t', 'nat']],
    ['are refused', ['*nat']],
  ])('enforces policies where Services %s', async (_, words) => {
    fake.answerFor('IPv4', words, refused);
    await start();
    store.upsert(policy('ns/closed', { podSelector: {} }));
    loop.run();
    await clock.advance(1000);
    const written = fake.commands.ran.map(inputOf).filter((input) => input.includes(':WEIR-FORWARD'));
    expect(written.length).toBeGreaterThan(0);
    expect(written.filter((input) => input.includes('*nat'))).toEqual([]);
    expect(observed).toContain('IPv4 policies: a change');
    expect(log.lines).toContain('INFO IPv4 policy rules written');
    expect(log.lines).not.toContain('INFO IPv4 service rules written');
    expect(results.at(-1)?.inForce).toEqual(new Set(['policies']));
  });

  test('counts for each part its own objects', async () => {
    store.upsert(policy('ns/closed', { podSelector: {} }));
    store.upsert(pod('ns/a', ['10.0.0.1']));
    await start();
    const counts = log.lines.flatMap((line, index) => {
      const { services, policies, pods } = log.fields[index] ?? {};
      return /rules written|synced/.test(line) ? [`${line}: ${[services, policies, pods].join()}`] : [];
    });
    expect(counts.toSorted()).toEqual([
      'DEBUG synced (requested): 1,1,1',
      'INFO IPv4 policy rules written: ,1,1',
      'INFO IPv4 service rules written: 1,,',
      'INFO IPv6 policy rules written: ,1,1',
      'INFO IPv6 service rules written: 1,,',
    ]);
  });

  test('names both families when both fail', async () => {
    fake.answer('IPv4', 'restore', refused);
    fake.answer('IPv6', 'restore', refused);
    await start();
    expect(log.lines.filter((line) => line.startsWith('ERROR'))).toEqual([
      expect.stringMatching(/^ERROR IPv4 service rules not written, next try in \d+ ms$/),
      expect.stringMatching(/^ERROR IPv6 service rules not written, next try in \d+ ms$/),
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
    expect(observed).toContain('IPv4 services: a repair');
  });

  test('reads only the part that is suspected', async () => {
    await start();
    await clock.advance(10_000);
    fake.ran();
    const policies = fake.families.flatMap((family) => family.part('policies') ?? []);
    loop.recheck('a test', policies);
    await clock.advance(1000);
    const reads = fake.ran().filter((line) => !line.includes('restore'));
    expect(reads.toSorted()).toEqual([
      'ip6tables-nft -t filter -S',
      'ipset save',
      'ipset save',
      'iptables-nft -t filter -S',
    ]);
    expect(results.at(-1)).toMatchObject({ read: new Set(['policies']), resync: undefined });
  });

  test('reads the sets alone when only they are due, which is not a full sync', async () => {
    await start();
    await clock.advance(10_000);
    fake.ran();
    observed = [];
    loop.recheckSets();
    await clock.advance(1000);
    expect(fake.ran().filter((line) => !line.includes('restore'))).toEqual(['ipset save', 'ipset save']);
    expect(results.at(-1)).toMatchObject({
      read: new Set(['policies', 'services']),
      resync: { what: 'sets' },
    });
  });

  describe('when chains of another proxy come back', () => {
    beforeEach(async () => {
      await start();
      await clock.advance(10_000);
      fake.answer('IPv4', 'save', kubeProxyIsBack);
      fake.ran();
      observed = [];
      before = fake.commands.ran.length;
    });

    async function recheck(): Promise<void> {
      loop.recheck('a test');
      await clock.advance(1000);
    }

    /** What was restored since the last call. */
    let before = 0;
    function restored(family: 'IPv4' | 'IPv6'): string {
      const file = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-nft-restore`;
      const commands = fake.commands.ran.slice(before).filter((command) => command.file === file);
      return commands.map(inputOf).join('');
    }

    test('takes over when it may, and takes the canary away in that family', async () => {
      await recheck();
      expect(cameBack).toEqual(['IPv4']);
      expect(restored('IPv4')).toContain('-X KUBE-SEP-AAAAAAAAAAAAAAAA');
      expect(restored('IPv4')).toContain('-X KUBE-PROXY-CANARY');
      expect(restored('IPv6')).not.toContain('-X KUBE-PROXY-CANARY');
      expect(observed).toContain('IPv4 services: a repair');
    });

    test('stands back in both families when it must, reads nothing more, and goes on with policies', async () => {
      answer = 'stand back';
      await recheck();
      expect(fake.ran().filter((line) => line.includes('restore'))).toEqual([]);
      store.upsert(service({ name: 'svc2' }));
      store.upsert(policy('ns/closed', { podSelector: {} }));
      loop.run();
      await clock.advance(10_000);
      expect(fake.ran().toSorted()).toEqual([
        'ip6tables-nft-restore',
        'ipset restore',
        'ipset restore',
        'iptables-nft-restore',
      ]);
      for (const family of ['IPv4', 'IPv6'] as const) expect(restored(family)).not.toContain('KUBE-');
      expect(observed).toContain('IPv4 policies: a change');
      expect(observed.filter((what) => what.includes('services'))).toEqual([]);
      expect(results.at(-1)?.inForce).toEqual(new Set(['policies']));
      await recheck();
      expect(fake.ran().filter((line) => line.includes('-t nat'))).toEqual([]);
    });

    test('writes everything that has changed since when it may write again, and takes over everywhere', async () => {
      answer = 'stand back';
      await recheck();
      store.upsert(endpointSlice(['10.0.0.1', '10.0.0.2']));
      loop.run();
      await clock.advance(10_000);
      held = undefined;
      isTakingOver = true;
      loop.recheck('a test');
      await clock.advance(1000);
      expect(restored('IPv4')).toContain('10.0.0.2:8080');
      for (const family of ['IPv4', 'IPv6'] as const)
        expect(restored(family)).toContain('-X KUBE-PROXY-CANARY');
      expect(results.at(-1)?.inForce).toEqual(new Set(['policies', 'services']));
    });
  });
});
