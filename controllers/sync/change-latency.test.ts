import { beforeEach, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { pod, policy } from '../../test/support/policy-world.ts';
import { endpointSlice, service } from '../../test/support/service-objects.ts';
import { ChangeLatency } from './change-latency.ts';

const epoch = 1_700_000_000_000;
const anyPolicy = policy('shop/p', { podSelector: {} });

let clock: FakeClock;
let told: string[];
let latency: ChangeLatency;

beforeEach(() => {
  clock = new FakeClock();
  told = [];
  const tell = (what: string) => (family: string, seconds: number) =>
    void told.push(`${family} ${what} ${seconds}`);
  latency = new ChangeLatency({
    clock,
    wallClock: () => epoch + clock.now(),
    families: ['IPv4', 'IPv6'],
    metrics: {
      sync: { eventApplied: tell('service'), programmed: tell('programmed') },
      policy: { enforced: tell('policy'), closedStart: tell('closed') },
    },
    isClosed: (ip) => /^10\.0\.0\.|^fd00::/.test(ip),
  });
});

/** What is told when a sync takes in everything and ends now. */
function sync(): readonly string[] {
  latency.folded();
  return apply();
}

function apply(): readonly string[] {
  told = [];
  for (const family of ['IPv4', 'IPv6'] as const)
    for (const part of ['services', 'policies'] as const) latency.applied(family, part);
  return told;
}

test('the first list is no change', () => {
  latency.changed(service());
  latency.changed(endpointSlice(['10.0.0.1']), epoch);
  latency.changed(anyPolicy);
  latency.start();
  expect(sync()).toEqual([]);
});

test('counts from the first event about an object until the rules, in each family that it concerns', async () => {
  latency.start();
  latency.changed(service());
  await clock.advance(1000);
  latency.changed(service());
  latency.changed(endpointSlice(['fd00::1']));
  latency.changed(anyPolicy);
  await clock.advance(500);
  expect(sync()).toEqual([
    'IPv4 service 1.5',
    'IPv4 policy 0.5',
    'IPv6 service 1.5',
    'IPv6 service 0.5',
    'IPv6 policy 0.5',
  ]);
  expect(sync()).toEqual([]);
});

test('what arrives while a sync runs belongs to the next', async () => {
  latency.start();
  latency.changed(anyPolicy);
  latency.folded();
  await clock.advance(200);
  latency.deleted('NetworkPolicy', 'shop', 'p');
  await clock.advance(100);
  expect(apply()).toEqual(['IPv4 policy 0.3', 'IPv6 policy 0.3']);
  await clock.advance(100);
  expect(sync()).toEqual(['IPv4 policy 0.2', 'IPv6 policy 0.2']);
});

test('a sync that failed makes its changes wait for the next', async () => {
  latency.start();
  latency.changed(service());
  latency.folded();
  latency.applied('IPv6', 'services');
  await clock.advance(30_000);
  latency.changed(service());
  expect(sync()).toEqual(['IPv4 service 30', 'IPv6 service 0']);
});

test('what one part has written says nothing of the other', () => {
  latency.start();
  latency.changed(service());
  latency.changed(anyPolicy);
  latency.folded();
  told = [];
  latency.applied('IPv4', 'policies');
  expect(told).toEqual(['IPv4 policy 0']);
  latency.applied('IPv4', 'services');
  expect(told).toEqual(['IPv4 policy 0', 'IPv4 service 0']);
});

test('programming is measured from the cause, as the control plane dates it', async () => {
  latency.start();
  await clock.advance(5000);
  latency.changed(endpointSlice(['10.0.0.1']), epoch + 3000);
  latency.changed(endpointSlice(['10.0.0.2']), epoch + 4000);
  await clock.advance(1000);
  expect(sync().filter((line) => line.includes('programmed'))).toEqual([
    'IPv4 programmed 3',
    'IPv4 programmed 2',
  ]);
});

test('a cause from before the start is none, nor is one of a slice that is gone', () => {
  latency.start();
  latency.changed(endpointSlice(['10.0.0.1']), epoch - 1);
  const slice = endpointSlice(['10.0.0.2'], { name: 'other' });
  latency.changed(slice, epoch);
  latency.deleted('EndpointSlice', slice.namespace, slice.name);
  expect(sync().filter((line) => line.includes('programmed'))).toEqual([]);
});

test('a pod is closed from its first address until the rules know it', async () => {
  latency.changed(pod('shop/old', ['10.0.0.1'], { nodeName: 'node-1' }));
  latency.start();
  const closed = (): readonly string[] => sync().filter((line) => line.includes('closed'));
  latency.changed(pod('shop/old', ['10.0.0.1'], { nodeName: 'node-1', ready: false }));
  latency.changed(pod('shop/far', ['10.0.9.1'], { nodeName: 'node-2' }));
  latency.changed(pod('shop/new', [], { nodeName: 'node-1' }));
  expect(closed()).toEqual([]);
  latency.changed(pod('shop/new', ['10.0.0.2', 'fd00::2'], { nodeName: 'node-1' }));
  await clock.advance(250);
  expect(closed()).toEqual(['IPv4 closed 0.25', 'IPv6 closed 0.25']);
  latency.changed(pod('shop/new', ['10.0.0.2'], { nodeName: 'node-1', ready: false }));
  expect(closed()).toEqual([]);
  latency.deleted('Pod', 'shop', 'new');
  latency.changed(pod('shop/new', ['10.0.0.3'], { nodeName: 'node-1' }));
  expect(closed()).toEqual(['IPv4 closed 0']);
});

test('what cannot be written because the kernel lacks the family is not counted, nor is it later', async () => {
  latency.start();
  latency.changed(service());
  latency.folded();
  latency.dropped('IPv6', 'services');
  expect(apply()).toEqual(['IPv4 service 0']);
  latency.changed(service());
  await clock.advance(1000);
  expect(sync()).toEqual(['IPv4 service 1', 'IPv6 service 1']);
});
