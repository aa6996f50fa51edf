import { afterEach, describe, expect, test, vi } from 'vitest';
import { decodeAs } from '../../pkg/api/index.ts';
import { systemClock } from '../../pkg/runtime/index.ts';
import { createApiServerSource } from '../../pkg/source/apiserver/api-server-source.ts';
import { createApiClient } from '../../pkg/source/apiserver/api-transport.ts';
import type { Source } from '../../pkg/source/index.ts';
import type { Fault } from '../support/fake-api-faults.ts';
import { FakeApiServer, type FakeApiServerOptions } from '../support/fake-api-server.ts';
import type { WatchDisturbance } from '../support/fake-api-watch.ts';
import { fastClock } from '../support/fast-clock.ts';
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts';
import { wireNode, wirePod, wirePolicy, wireService, wireSlice } from '../support/source-world.ts';
import { ToldSource } from '../support/told-source.ts';

interface World {
  readonly server: FakeApiServer;
  readonly told: ToldSource;
  readonly log: RecordedLog;
  readonly source: Source;
}

const ends: (() => Promise<unknown>)[] = [];
const patience = { timeout: 20_000, interval: 20 };

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** A server with a few objects, and a source for which a minute lasts about a second. */
async function createWorld(options: FakeApiServerOptions = {}): Promise<World> {
  const server = await new FakeApiServer(options).start();
  ends.push(() => server.close());
  server.put(wireNode('node-1'));
  for (const name of ['a', 'b', 'c']) {
    server.put(wireService(name, `10.0.0.${name.charCodeAt(0)}`));
    server.put(wireSlice(name, '10.1.0.1'));
    server.put(wirePolicy(name, 80));
    server.put(wirePod(name, '10.1.0.1'));
  }
  const client = await createApiClient({
    master: server.url,
    env: {},
    clock: systemClock,
    userAgent: 'weir/test',
  });
  const told = new ToldSource();
  const log = recordedLog();
  const source = createApiServerSource({ client, nodeName: 'node-1', clock: fastClock(50), log });
  ends.push(async () => {
    await source.stop();
    await client.close();
  });
  return { server, told, log, source };
}

/** As lists of the server say. */
function podsOf(server: FakeApiServer): readonly unknown[] {
  return server.list('pods').map((raw) => {
    const result = decodeAs('Pod', raw);
    return result.outcome === 'object' ? result.object : result;
  });
}

function podsTold({ told }: World): readonly unknown[] {
  return told.names('Pod').map((name) => told.objects.get(`Pod shop/${name}`));
}

async function changeAndWait(world: World): Promise<void> {
  const { server } = world;
  server.put(wirePod('b', '10.1.0.9'));
  server.remove('pods', 'shop', 'c');
  server.put(wirePod('d', '10.1.0.4'));
  await vi.waitFor(() => expect(podsTold(world)).toEqual(podsOf(server)), patience);
}

function deletions({ told }: World): readonly string[] {
  return told.log.filter((line) => line.startsWith('- '));
}

describe('from the start', { timeout: 60_000 }, () => {
  test.each(['on', 'ignored', 'no-progress', 400, 422] as const)(
    'everything is told, with streaming lists %s',
    async (watchList) => {
      const world = await createWorld({ watchList, bookmarkIntervalMs: 300 });
      await world.source.start(world.told);
      expect(world.told.objects.size).toBe(13);
      expect(world.told.log.filter((line) => line === 'synced')).toHaveLength(1);
      await changeAndWait(world);
    },
  );

  const faults: readonly (readonly [string, Fault])[] = [
    ['a reset', { effect: 'reset', afterBytes: 100, times: 7 }],
    ['a body that is cut', { effect: 'cut', afterBytes: 100, times: 7 }],
    ['wrong JSON', { effect: 'garbage', times: 7 }],
    ['no answer', { effect: 'no-answer', times: 7 }],
    ['429 with Retry-After', { effect: 'status', code: 429, retryAfter: '1', times: 7 }],
    ['503', { effect: 'status', code: 503, times: 7 }],
    ['a text that is no Status', { effect: 'status', code: 502, body: 'bad gateway', times: 7 }],
    ['a slow body', { effect: 'slow', bytes: 40, everyMs: 1, times: 7 }],
  ];
  test.each(faults)('%s is waited out', async (_, fault) => {
    const world = await createWorld();
    world.server.fault(fault);
    await world.source.start(world.told);
    expect(world.told.objects.size).toBe(13);
    await changeAndWait(world);
    expect(deletions(world)).toEqual(['- Pod shop/c']);
  });

  test.each(faults)('%s in lists is waited out, too', async (_, fault) => {
    const world = await createWorld({ watchList: 422 });
    world.server.fault({ ...fault, verb: 'LIST' });
    await world.source.start(world.told);
    expect(world.told.objects.size).toBe(13);
    await changeAndWait(world);
  });

  const lasting: readonly (readonly [string, Fault])[] = [
    ...faults.filter(([, fault]) => fault.effect !== 'slow'),
    ['an ERROR event 500', { effect: 'error-event', code: 500, reason: 'InternalError' }],
    ['an ERROR event 429', { effect: 'error-event', code: 429, reason: 'TooManyRequests' }],
    ['silence', { effect: 'hang', afterBytes: 0 }],
    ['silence in the middle', { effect: 'hang', afterBytes: 100 }],
    ['no headers', { effect: 'stall' }],
  ];
  const forGood = (fault: Fault): Fault => ({ ...fault, times: Infinity });

  test.each(lasting)('%s of every stream, without an end, is got round by pages', async (_, fault) => {
    const world = await createWorld();
    world.server.fault({ ...forGood(fault), streaming: true });
    await world.source.start(world.told);
    expect(world.told.objects.size).toBe(13);
    await changeAndWait(world);
    expect(deletions(world)).toEqual(['- Pod shop/c']);
    const streams = world.server.requests.filter(({ query }) => 'sendInitialEvents' in query);
    expect(streams.length).toBeLessThanOrEqual(7);
  });

  // Silence takes as long as time-outs of the transport, or as a quiet kind: see streaming-lists.test.ts, which has them all.
  const loud = lasting.filter(([, { effect }]) => effect !== 'hang' && effect !== 'stall');
  const some = loud.filter(([name]) => ['a reset', 'wrong JSON', 'an ERROR event 500'].includes(name));

  test.each(some)('%s of every watch, without an end, is got round by lists', async (_, fault) => {
    const world = await createWorld();
    world.server.fault({ ...forGood(fault), verb: 'WATCH' });
    await world.source.start(world.told);
    expect(world.told.objects.size).toBe(13);
    await changeAndWait(world);
    expect(deletions(world)).toEqual(['- Pod shop/c']);
  });

  test.each(loud)('%s of every list, without an end, is got round by streams', async (_, fault) => {
    const world = await createWorld();
    // Of each kind the first stream breaks, and then the pages.
    world.server.fault({ effect: 'no-answer', streaming: true, times: 7 });
    world.server.fault({ ...forGood(fault), verb: 'LIST' });
    await world.source.start(world.told);
    expect(world.told.objects.size).toBe(13);
    await changeAndWait(world);
  });

  test('a server from before Kubernetes 1.31 is asked without the selector that it does not know', async () => {
    const world = await createWorld({ release: 'before-1.31', watchList: 422 });
    world.server.put(wireService('headless', 'None'));
    await world.source.start(world.told);
    expect(world.told.names('Service')).toEqual(['a', 'b', 'c']);
    expect(world.log.lines.filter((line) => line.startsWith('WARN'))).toEqual([]);
    await changeAndWait(world);
  });

  test('a token that is not accepted is waited for', async () => {
    const world = await createWorld({ token: 'right' });
    const started = world.source.start(world.told);
    await vi.waitFor(
      () => expect(world.log.lines.join('\n')).toContain("does not accept Weir's token or certificate (401)"),
      patience,
    );
    expect(world.told.log).toEqual([]);
    world.server.acceptToken(undefined);
    await started;
    expect(world.told.objects.size).toBe(13);
  });

  test('a kind that may not be read is named, and nothing is synced before it may', async () => {
    const world = await createWorld();
    world.server.deny('networkpolicies');
    const started = world.source.start(world.told);
    await vi.waitFor(
      () =>
        expect(world.log.lines.join('\n')).toContain(
          "may not watch networkpolicies.networking.k8s.io: apply Weir's ClusterRole",
        ),
      patience,
    );
    await vi.waitFor(() => expect(world.told.objects.size).toBe(10), patience);
    expect(world.told.log).not.toContain('synced');
    world.server.allow('networkpolicies');
    await started;
    expect(world.told.objects.size).toBe(13);
  });

  test.each(['forbidden', 'absent'] as const)('ServiceCIDRs may be %s', async (how) => {
    const world = await createWorld();
    world.server.deny('servicecidrs', how);
    await world.source.start(world.told);
    expect(world.told.objects.size).toBe(13);
  });
});

describe('in a watch', { timeout: 60_000 }, () => {
  test.each<readonly [string, WatchDisturbance]>([
    ['an early end', { effect: 'end' }],
    ['a reset', { effect: 'reset' }],
    ['half a line', { effect: 'half-line' }],
    ['a line that is no JSON', { effect: 'garbage' }],
    ['a long silence', { effect: 'hang' }],
    ['ERROR 410', { effect: 'error-event', code: 410, reason: 'Expired' }],
    ['ERROR 429', { effect: 'error-event', code: 429, reason: 'TooManyRequests' }],
    ['ERROR 500', { effect: 'error-event', code: 500, reason: 'InternalError' }],
  ])('%s costs no object and no change', async (_, disturbance) => {
    const world = await createWorld();
    await world.source.start(world.told);
    const told = world.told.log.length;
    world.server.disturbWatches(disturbance);
    await changeAndWait(world);
    expect(world.told.log.slice(told).filter((line) => line !== 'settled')).toHaveLength(3);
  });

  test.each(['event', 'http'] as const)(
    'a version that is forgotten (%s) costs no object and no change',
    async (how) => {
      const world = await createWorld({ expiredAs: how });
      await world.source.start(world.told);
      const told = world.told.log.length;
      await world.server.refuse();
      world.server.put(wirePod('b', '10.1.0.8'));
      world.server.remove('pods', 'shop', 'a');
      world.server.expire('pods');
      await world.server.start();
      await changeAndWait(world);
      const lines = world.told.log.slice(told).filter((line) => line !== 'settled');
      expect(lines.filter((line) => !line.startsWith('+ Pod shop/b')).toSorted()).toEqual([
        '+ Pod shop/d',
        '- Pod shop/a',
        '- Pod shop/c',
      ]);
    },
  );

  test('a server that goes and comes back finds everything as it was', async () => {
    const world = await createWorld();
    await world.source.start(world.told);
    await world.server.refuse();
    await vi.waitFor(
      () => expect(world.log.lines.join('\n')).toContain('WARN the API server http://'),
      patience,
    );
    expect(world.told.objects.size).toBe(13);
    await world.server.start();
    await changeAndWait(world);
    expect(deletions(world)).toEqual(['- Pod shop/c']);
  });

  test('a server that falls silent loses nothing', async () => {
    const world = await createWorld();
    await world.source.start(world.told);
    world.server.fallSilent();
    world.server.put(wirePod('e', '10.1.0.5'));
    await systemClock.sleep(500);
    expect(world.told.names('Pod')).toEqual(['a', 'b', 'c']);
    world.server.speak();
    await changeAndWait(world);
  });

  test('characters of several bytes arrive whole', async () => {
    const world = await createWorld();
    await world.source.start(world.told);
    world.server.fault({ effect: 'slow', bytes: 1, everyMs: 0, verb: 'WATCH', on: 'pods' });
    world.server.disturbWatches({ effect: 'end' }, 'pods');
    const pod = wirePod('e', '10.1.0.5') as { readonly metadata: object };
    world.server.put({ ...pod, metadata: { ...pod.metadata, labels: { town: 'Zürich-😀' } } });
    await vi.waitFor(
      () => expect(world.told.objects.get('Pod shop/e')).toMatchObject({ labels: { town: 'Zürich-😀' } }),
      patience,
    );
  });

  test('connections are no more than kinds, and stopping ends them', async () => {
    const world = await createWorld();
    await world.source.start(world.told);
    expect(world.server.connected).toBe(7);
    for (let round = 0; round < 5; round++) {
      world.server.disturbWatches({ effect: 'end' });
      await vi.waitFor(() => expect(world.server.watches).toHaveLength(7), patience);
    }
    expect(world.server.connected).toBe(7);
    await world.source.stop();
    await vi.waitFor(() => expect(world.server.watches).toHaveLength(0), patience);
  });
});
