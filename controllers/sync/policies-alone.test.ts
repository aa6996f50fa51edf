import { beforeEach, expect, test } from 'vitest';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig } from '../../pkg/config/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { inputOf } from '../../test/support/fake-command-runner.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import { pod, policy } from '../../test/support/policy-world.ts';
import { recordedLog } from '../../test/support/recorded-log.ts';
import { endpointSlice, service } from '../../test/support/service-objects.ts';
import { PolicyController } from '../policies/policy-controller.ts';
import { ServiceController } from '../services/service-controller.ts';
import { statesOf } from './families.ts';
import { SyncLoop, type SyncResult } from './sync-loop.ts';

let clock: FakeClock;
let fake: FakeFamilies;
let loop: SyncLoop;
let results: SyncResult[];
let cameBack: string[];

beforeEach(() => {
  clock = new FakeClock();
  fake = fakeFamilies(clock, ['policies']);
  results = [];
  cameBack = [];
  const store = new Store();
  const parsed = parseRuleConfig({ manifests: 'x', nodeName: 'node', parts: 'policies' });
  if ('errors' in parsed) throw new Error(parsed.errors.join());
  const { config } = parsed;
  const states = (part: 'policies' | 'services') => statesOf(fake.families, part);
  loop = new SyncLoop({
    clock,
    log: recordedLog(),
    store,
    services: new ServiceController({
      store,
      config,
      tcpBeLiberal: false,
      states: states('services'),
      interfaceAddresses: () => [],
    }),
    policies: new PolicyController({ store, config, states: states('policies'), cniResults: () => [] }),
    families: fake.families,
    minSyncPeriodMs: undefined,
    otherProxy: {
      mayWrite: () => true,
      takesOver: false,
      cameBack: (family) => {
        cameBack.push(family);
        return 'stand back';
      },
    },
    leftOut: { retryWhenDue: () => false, refused: () => false },
    observer: {
      queued: () => undefined,
      began: () => undefined,
      synced: () => undefined,
      failed: () => undefined,
    },
    onSynced: async (result) => {
      results.push(result);
    },
  });
  for (const object of [
    service(),
    endpointSlice(['10.0.0.1']),
    policy('ns/closed', { podSelector: {} }),
    pod('ns/a', ['10.0.0.1'], { nodeName: 'node' }),
  ])
    store.upsert(object);
});

/** What was restored in both families. */
function restored(): string {
  return fake.commands.ran.map(inputOf).join('');
}

test('policies alone are written into the filter table, in front of all, and Services not at all', async () => {
  void loop.start();
  await clock.advance(0);
  await clock.advance(0);
  expect(restored()).toMatch(/-I FORWARD .*-j WEIR-FORWARD/);
  expect(restored()).toMatch(/-I OUTPUT .*! --src-type LOCAL -j WEIR-FORWARD/);
  expect(restored()).not.toMatch(/KUBE-|\*nat/);
  expect(fake.ran().filter((line) => line.includes('nat'))).toEqual([]);
  expect(results).toEqual([
    {
      inForce: new Set(['policies']),
      read: new Set(['policies']),
      resync: { what: 'everything', readMs: 0 },
    },
  ]);
});

test('chains of a kube-proxy that appear are no concern of policies alone', async () => {
  const chains = ['KUBE-FORWARD', 'KUBE-SERVICES', 'KUBE-PROXY-FIREWALL'];
  void loop.start();
  await clock.advance(0);
  await clock.advance(10_000);
  const lines = chains.map((chain) => `:${chain} - [0:0]`);
  fake.answer('IPv4', 'save', {
    stdout: `*filter\n${lines.join('\n')}\n-A FORWARD -j KUBE-FORWARD\nCOMMIT\n`,
  });
  loop.recheck('a test');
  await clock.advance(1000);
  expect(results).toHaveLength(2);
  expect(restored()).not.toContain('KUBE-');
  expect(cameBack).toEqual([]);
});
