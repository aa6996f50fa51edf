import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ApiObject } from '../../pkg/api/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig } from '../../pkg/config/index.ts';
import { RuleState } from '../../pkg/kernel/index.ts';
import type { CommandResult } from '../../pkg/runtime/index.ts';
import type { CniResult } from '../../pkg/source/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeCommandRunner, fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { namespace, pod, policy } from '../../test/support/policy-world.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { decoded } from '../../test/support/wire-objects.ts';
import { DiagnosticLog } from '../diagnostic-log.ts';
import { partOwnership } from '../sync/part-ownership.ts';
import { readBootState } from './boot-guard.ts';
import { PolicyController } from './policy-controller.ts';
import { PolicyFollowUp, type PolicyFollowUpOptions } from './policy-follow-up.ts';

const ranges = ['10.1.0.0/24'];
const epoch = 1_700_000_000_000;
const closed = policy('shop/closed', { podSelector: {} });
const flow =
  'tcp 6 86397 ESTABLISHED src=10.9.0.1 dst=10.1.0.1 sport=1000 dport=80 src=10.1.0.1 dst=10.9.0.1 sport=80 dport=1000 [ASSURED] mark=0 use=1\n';
const hint: unknown = expect.stringContaining('NetworkPolicy shop/idle: spec.podSelector: selects no pod');

describe('PolicyFollowUp', () => {
  let folder: string;
  let stateDir: string;
  let clock: FakeClock;
  let log: RecordedLog;
  let store: Store;
  let policies: PolicyController;
  let commands: FakeCommandRunner;
  let listing: Partial<CommandResult>;
  let results: readonly CniResult[];
  let mismatches: string[];
  let rechecks: number;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-follow-up-'));
    stateDir = join(folder, 'state');
    clock = new FakeClock();
    log = recordedLog();
    store = new Store();
    const parsed = parseRuleConfig({ manifests: 'x', nodeName: 'node-1' });
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    const states = [new RuleState('IPv4', partOwnership('policies', 'IPv4'))];
    results = [];
    mismatches = [];
    rechecks = 0;
    policies = new PolicyController({
      store,
      config: parsed.config,
      states,
      cniResults: () => results,
      clock,
      wallClock: () => epoch + clock.now(),
    });
    listing = { stdout: flow };
    const deleted = { stderr: '1 flow entries have been deleted.' };
    commands = fakeCommandRunner({ conntrack: ({ args }) => (args[0] === '-L' ? listing : deleted) });
    store.upsert(namespace('shop'));
    store.upsert(pod('shop/web', ['10.1.0.1']));
  });
  afterEach(() => rm(folder, { recursive: true }));

  function create(changes: Partial<PolicyFollowUpOptions> = {}): PolicyFollowUp {
    return new PolicyFollowUp({
      policies,
      families: ['IPv4'],
      established: 'keep',
      stateDir: undefined,
      commands,
      clock,
      log,
      diagnostics: new DiagnosticLog(log),
      metrics: { setRangeMismatch: (family, isMismatch) => void mismatches.push(`${family} ${isMismatch}`) },
      nodeAddresses: () => ['10.1.0.254'],
      recheck: () => {
        rechecks += 1;
      },
      ...changes,
    });
  }

  /** A sync that wrote the rules for what the store says. */
  function sync(followUp: PolicyFollowUp): Promise<void> {
    policies.update(store.takeDirty(), ranges);
    return followUp.synced(ranges);
  }

  it('keeps for the next boot whether there are policies', async () => {
    const followUp = create({ stateDir });
    await sync(followUp);
    expect(await readBootState(stateDir)).toEqual({ policiesExist: false, ranges });
    store.upsert(closed);
    await sync(followUp);
    expect(await readBootState(stateDir)).toEqual({ policiesExist: true, ranges });
    store.remove('NetworkPolicy', 'shop', 'closed');
    await sync(followUp);
    expect(await readBootState(stateDir)).toEqual({ policiesExist: false, ranges });
  });

  it('tells when that can not be kept, and tries again with the next sync', async () => {
    const followUp = create({ stateDir });
    await writeFile(stateDir, 'a file where the folder should be');
    await sync(followUp);
    expect(log.lines).toEqual([
      expect.stringMatching(/^WARN .*--policy-closed-start=boot: the state .*can not be kept/),
    ]);
    await rm(stateDir);
    await sync(followUp);
    expect(await readBootState(stateDir)).toEqual({ policiesExist: false, ranges });
  });

  it('leaves connections alone unless told to cut', async () => {
    store.upsert(closed);
    await sync(create());
    expect(commands.lines).toEqual([]);
  });

  it('cuts what a change forbids, once', async () => {
    const followUp = create({ established: 'cut' });
    store.upsert(closed);
    await sync(followUp);
    await sync(followUp);
    expect(commands.lines).toEqual([
      'conntrack -L -f ipv4',
      expect.stringMatching(/^conntrack -D .*10\.9\.0\.1/),
    ]);
    expect(log.lines).toEqual(['INFO connections that policies forbid now were cut']);
    expect(log.fields).toEqual([{ connections: 1 }]);
  });

  it('cuts with the next sync what could not be cut', async () => {
    const followUp = create({ established: 'cut' });
    listing = { exitCode: 1, stderr: 'conntrack: out of memory' };
    store.upsert(closed);
    await expect(sync(followUp)).rejects.toThrow('out of memory');
    listing = { stdout: flow };
    await sync(followUp);
    expect(log.fields).toEqual([{ connections: 1 }]);
  });

  it('tells hints once nothing has changed for a second, and each only once', async () => {
    const followUp = create();
    const idle = policy('shop/idle', { podSelector: { matchLabels: { app: 'nobody' } } });
    store.upsert(idle);
    await sync(followUp);
    await clock.advance(900);
    store.upsert(closed);
    await sync(followUp);
    await clock.advance(900);
    expect(log.lines).toEqual([]);
    await clock.advance(100);
    expect(log.lines).toEqual([hint]);
    store.remove('NetworkPolicy', 'shop', 'closed');
    await sync(followUp);
    await clock.advance(1000);
    expect(log.lines).toEqual([hint]);
    expect(clock.sleeping).toBe(0);
  });

  it('tells hints anew when the ranges of Services come or change, though no policy, pod or namespace does', async () => {
    const followUp = create();
    const cidrs = (...cidrs: readonly string[]): ApiObject =>
      decoded('ServiceCIDR', { metadata: { name: 'kubernetes' }, spec: { cidrs } }).object;
    store.upsert(
      policy('shop/to-services', {
        podSelector: {},
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: '10.96.0.0/16' } }] }],
      }),
    );
    await sync(followUp);
    await clock.advance(5000);
    expect(log.lines).toEqual([]);
    store.upsert(cidrs('10.96.0.0/12'));
    await sync(followUp);
    await clock.advance(1000);
    const toServices = expect.stringMatching(/^WARN NetworkPolicy shop\/to-services: .*Service/) as unknown;
    expect(log.lines).toEqual([toServices]);
    store.upsert(cidrs('172.20.0.0/16'));
    await sync(followUp);
    await clock.advance(1000);
    store.upsert(cidrs('10.96.0.0/12'));
    await sync(followUp);
    await clock.advance(1000);
    // Gone in between, and back.
    expect(log.lines).toEqual([toServices, toServices]);
    expect(clock.sleeping).toBe(0);
  });

  it('tells hints anew when the first Services come, where the cluster has no ServiceCIDRs', async () => {
    const followUp = create();
    store.upsert(
      policy('shop/to-services', {
        podSelector: {},
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: '10.96.0.0/16' } }] }],
      }),
    );
    await sync(followUp);
    await clock.advance(5000);
    expect(log.lines).toEqual([]);
    store.upsert(decoded('Service', { spec: { clusterIP: '10.96.0.1' } }).object);
    await sync(followUp);
    await clock.advance(1000);
    expect(log.lines).toEqual([expect.stringContaining('NetworkPolicy shop/to-services')]);
  });

  it('tells nothing after it was stopped', async () => {
    const followUp = create();
    store.upsert(policy('shop/idle', { podSelector: { matchLabels: { app: 'nobody' } } }));
    await sync(followUp);
    followUp.stop();
    await clock.advance(5000);
    expect(log.lines).toEqual([]);
    expect(clock.sleeping).toBe(0);
  });

  describe('says of addresses that do not follow the ranges of the node', () => {
    const far = pod('shop/far', ['10.1.0.200'], { nodeName: 'node-2' });
    const away = pod('shop/away', ['10.9.0.5']);

    it('once who has them, and once that it has recovered', async () => {
      const followUp = create();
      store.upsert(closed);
      await sync(followUp);
      expect(log.lines).toEqual([]);
      store.upsert(far);
      store.upsert(away);
      await sync(followUp);
      expect(log.lines).toEqual([
        expect.stringMatching(
          /^WARN IPv4 addresses of pods .*\(10\.1\.0\.0\/24\): pod shop\/far on node-2 has 10\.1\.0\.200 inside; pod shop\/away on node-1, this node, has 10\.9\.0\.5 outside\. --policy-closed-start /,
        ),
      ]);
      store.upsert(pod('shop/another', ['10.1.0.201'], { nodeName: undefined }));
      store.remove('Pod', 'shop', 'far');
      await sync(followUp);
      expect(log.lines).toHaveLength(1);
      store.remove('Pod', 'shop', 'away');
      store.remove('Pod', 'shop', 'another');
      await sync(followUp);
      expect(log.lines.slice(1)).toEqual([
        expect.stringMatching(/^INFO recovered: IPv4 addresses of pods follow .*\(10\.1\.0\.0\/24\)/),
      ]);
      expect(mismatches).toEqual(['IPv4 false', 'IPv4 true', 'IPv4 true', 'IPv4 false']);
    });

    it('nothing while no policy closes anything', async () => {
      const followUp = create();
      store.upsert(far);
      await sync(followUp);
      store.upsert(closed);
      await sync(followUp);
      store.remove('NetworkPolicy', 'shop', 'closed');
      await sync(followUp);
      expect(log.lines).toEqual([expect.stringMatching(/^WARN IPv4 addresses of pods/)]);
      expect(mismatches).toEqual(['IPv4 false', 'IPv4 true', 'IPv4 false']);
    });
  });

  it('asks for another sync when a result has had its time, and names it once it counts for nothing', async () => {
    const followUp = create();
    const added = BigInt(epoch) * 1_000_000n;
    const stranger = { namespace: 'shop', name: 'gone', uid: 'g', containerId: 'c0ffee', addedNs: added };
    results = [{ ...stranger, addresses: ['10.1.0.1'] }];
    await sync(followUp);
    await sync(followUp);
    await clock.advance(29_999);
    expect(rechecks).toBe(0);
    await clock.advance(1);
    expect(rechecks).toBe(1);
    expect(log.lines).toEqual([]);
    await sync(followUp);
    await sync(followUp);
    expect(log.lines).toEqual([
      expect.stringMatching(
        /^WARN Pod shop\/gone: the CNI result of container c0ffee .*10\.1\.0\.1.*shop\/web/,
      ),
    ]);
    await clock.advance(60_000);
    expect(rechecks).toBe(1);
    expect(clock.sleeping).toBe(0);
  });
});
