import { expect, test } from 'vitest';
import { forbidden, unreachable } from '../../../test/support/in-memory-api-client.ts';
import {
  sourceWorld,
  status,
  wireNode,
  wirePod,
  wirePolicy,
  wireService,
  wireSlice,
} from '../../../test/support/source-world.ts';

test('tells everything, then that everything is told, once', async () => {
  const world = sourceWorld();
  world.api.put(wireService('web', '10.0.0.1'));
  world.api.put(wireSlice('web-1', '10.1.0.1'));
  world.api.put(wireNode('node-1'));
  world.api.put(wireNode('node-2'));
  await world.start();
  expect(world.startState()).toBe('resolved');
  expect(world.told.log.slice(-2)).toEqual(['synced', 'settled']);
  expect(world.told.log.slice(0, -2).toSorted()).toEqual([
    '+ EndpointSlice shop/web-1',
    '+ Node node-1',
    '+ Service shop/web',
  ]);
  expect(world.observed.filter((line) => line.startsWith('listed')).toSorted()).toEqual([
    'listed EndpointSlice 1',
    'listed Namespace 0',
    'listed NetworkPolicy 0',
    'listed Node 1',
    'listed Pod 0',
    'listed Service 1',
    'listed ServiceCIDR 0',
  ]);
  await world.source.stop();
});

test('tells changes as they come, settled once a chunk', async () => {
  const world = sourceWorld();
  await world.start();
  world.told.takeLog();
  for (let index = 0; index < 100; index++) world.api.put(wirePod(`pod-${index}`, `10.1.0.${index}`));
  await world.settle();
  expect(world.told.takeLog().filter((line) => line === 'settled')).toHaveLength(1);
  expect(world.told.names('Pod')).toHaveLength(100);
  world.api.remove('pods', 'shop', 'pod-7');
  await world.settle();
  expect(world.told.takeLog()).toEqual(['- Pod shop/pod-7', 'settled']);
  await world.source.stop();
});

test('lets a Service go that another proxy takes, and takes it back', async () => {
  const world = sourceWorld();
  world.api.put(wireService('web', '10.0.0.1'));
  await world.start();
  world.told.takeLog();
  world.api.put(
    wireService('web', '10.0.0.1', { labels: { 'service.kubernetes.io/service-proxy-name': 'other' } }),
  );
  await world.settle();
  expect(world.told.takeLog()).toEqual(['- Service shop/web', 'settled']);
  world.api.put(wireService('web', '10.0.0.1'));
  await world.settle();
  expect(world.told.takeLog()).toEqual(['+ Service shop/web', 'settled']);
  await world.source.stop();
});

test.each(['refused', 'ignored'] as const)(
  'lists in pages where streaming the beginning is %s, and remembers that',
  async (watchList) => {
    const world = sourceWorld({ watchList });
    for (let index = 0; index < 1200; index++) world.api.put(wirePod(`pod-${index}`, '10.1.0.1'));
    await world.start();
    await world.clock.advance(70_000);
    await world.settle();
    expect(world.startState()).toBe('resolved');
    expect(world.told.names('Pod')).toHaveLength(1200);
    expect(world.api.asked('LIST', 'pods')).toHaveLength(3);
    expect(world.log.lines.filter((line) => line.startsWith('WARN'))).toEqual([]);

    world.api.compact('pods');
    for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
    world.api.put(wirePod('late', '10.1.0.2'));
    world.api.compact('pods');
    await world.clock.advance(10_000);
    expect(world.told.names('Pod')).toHaveLength(1201);
    const beginnings = world.api.asked('WATCH', 'pods').filter(({ query }) => query.has('sendInitialEvents'));
    expect(beginnings).toHaveLength(1);
    await world.source.stop();
  },
);

test('takes more objects than a call takes arguments', { timeout: 30_000 }, async () => {
  const world = sourceWorld({ watchList: 'refused' });
  const items = Array.from({ length: 130_000 }, (_, index) => ({
    metadata: { name: `n${index}`, resourceVersion: '1' },
  }));
  const json = world.api.json.bind(world.api);
  world.api.json = (request, signal) =>
    request.path.includes('/namespaces')
      ? Promise.resolve({ metadata: { resourceVersion: '1000' }, items })
      : json(request, signal);
  await world.start();
  expect(world.told.names('Namespace')).toHaveLength(130_000);
  await world.source.stop();
});

test('asks for bookmarks and a time-out, and goes on where the last bookmark was', async () => {
  const world = sourceWorld();
  await world.start();
  const [first] = world.api.asked('WATCH', 'pods');
  expect(first?.query.get('allowWatchBookmarks')).toBe('true');
  const seconds = Number(first?.query.get('timeoutSeconds'));
  expect(seconds).toBeGreaterThanOrEqual(300);
  expect(seconds).toBeLessThanOrEqual(600);
  // Everything happens to other kinds: without bookmarks the version would be compacted.
  world.api.put(wireService('web', '10.0.0.1'));
  await world.clock.advance(61_000);
  world.api.compact('pods');
  await world.clock.advance(600_000);
  const again = world.api.asked('WATCH', 'pods').slice(1);
  expect(again.map(({ query }) => query.has('sendInitialEvents'))).not.toContain(true);
  expect(again.length).toBeGreaterThanOrEqual(1);
  expect(world.observed).toContain('watchStarted Pod ended');
  expect(world.observed).not.toContain('failed Pod expired');
  await world.source.stop();
});

test.each([
  ['an ERROR event 410', 'ignored'],
  ['an answer 410', 'refused'],
] as const)('lists anew after %s, and tells only what differs', async (how, watchList) => {
  const world = sourceWorld({ watchList });
  for (const name of ['a', 'b', 'c']) world.api.put(wirePod(name, '10.1.0.1'));
  await world.start();
  await world.clock.advance(70_000);
  world.told.takeLog();
  let refused = false;
  world.api.refuse = ({ verb, resource, query }) => {
    const refuse =
      how === 'an answer 410' &&
      !refused &&
      verb === 'WATCH' &&
      resource === 'pods' &&
      query.has('resourceVersion');
    refused ||= refuse;
    return refuse ? status(410, 'Gone') : undefined;
  };
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  world.api.put(wirePod('b', '10.1.0.9'));
  world.api.remove('pods', 'shop', 'c');
  world.api.put(wirePod('d', '10.1.0.4'));
  world.api.compact('pods');
  await world.clock.advance(2000);
  expect(world.told.takeLog()).toEqual(['+ Pod shop/b', '+ Pod shop/d', '- Pod shop/c', 'settled']);
  expect(world.observed).toContain('failed Pod expired');
  await world.source.stop();
});

test.each([
  ['reset', { effect: 'reset' }],
  ['half a line', { effect: 'say', text: '{"type":"MODIFIED","object":{"metadata":{"na' }],
  ['a line that is no JSON', { effect: 'say', text: '{"type":}\n' }],
  [
    'an ERROR event 500',
    {
      effect: 'say',
      text: '{"type":"ERROR","object":{"code":500,"reason":"InternalError","message":"etcd"}}\n',
    },
  ],
] as const)('goes on from the last resourceVersion after %s', async (_, disturbance) => {
  const world = sourceWorld();
  world.api.put(wirePod('a', '10.1.0.1'));
  await world.start();
  world.told.takeLog();
  await world.clock.advance(5000);
  for (const watch of world.api.watches) watch.disturb(disturbance);
  await world.settle();
  world.api.put(wirePod('b', '10.1.0.2'));
  await world.clock.advance(5000);
  expect(world.told.takeLog()).toEqual(['+ Pod shop/b', 'settled']);
  const beginnings = world.api.asked('WATCH', 'pods').filter(({ query }) => query.has('sendInitialEvents'));
  expect(beginnings).toHaveLength(1);
  await world.source.stop();
});

test('says what a line was that it could not read', async () => {
  const world = sourceWorld();
  await world.start();
  for (const watch of world.api.watches) watch.disturb({ effect: 'say', text: '{"type":}\n' });
  await world.settle();
  expect(world.log.lines).toContain(
    'WARN can\'t watch pods: the watch of pods sent a line that is no JSON: "{\\"type\\":}". What is known stays in effect; Weir keeps trying',
  );
  expect(world.observed).toContain('failed Pod answer');
  await world.source.stop();
});

test('lists anew when the same resourceVersion fails again and again', async () => {
  const world = sourceWorld();
  await world.start();
  world.api.refuse = ({ verb, resource, query }) =>
    verb === 'WATCH' && resource === 'pods' && query.has('resourceVersion')
      ? status(500, 'InternalError')
      : undefined;
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  world.api.put(wirePod('a', '10.1.0.1'));
  await world.clock.advance(60_000);
  expect(world.told.names('Pod')).toEqual(['a']);
  await world.source.stop();
});

test.each([401, 403, 429, 503])('does not list anew because of %s', async (code) => {
  const world = sourceWorld();
  await world.start();
  world.api.refuse = () => status(code, 'No');
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.clock.advance(300_000);
  world.api.refuse = () => undefined;
  world.api.put(wirePod('a', '10.1.0.1'));
  await world.clock.advance(31_000);
  expect(world.told.names('Pod')).toEqual(['a']);
  const beginnings = world.api.asked('WATCH', 'pods').filter(({ query }) => query.has('sendInitialEvents'));
  expect(beginnings).toHaveLength(1);
  await world.source.stop();
});

test('lists anew when the server does not know the resourceVersion yet', async () => {
  const world = sourceWorld();
  await world.start();
  world.api.put(wirePod('a', '10.1.0.1'));
  await world.settle();
  expect(world.told.names('Pod')).toEqual(['a']);
  const late = Object.assign(status(504, 'Timeout'), {
    message: 'Too large resource version: 9000, current: 8000',
  });
  world.api.refuse = ({ verb, resource, query }) =>
    verb === 'WATCH' && resource === 'pods' && query.has('resourceVersion') ? late : undefined;
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.settle();
  world.api.remove('pods', 'shop', 'a');
  await world.clock.advance(10_000);
  expect(world.told.names('Pod')).toEqual([]);
  await world.source.stop();
});

test('ends a watch in which nothing is heard, and goes on', async () => {
  const world = sourceWorld();
  world.api.put(wirePod('a', '10.1.0.1'));
  await world.start();
  world.told.takeLog();
  for (const watch of world.api.watches) watch.disturb({ effect: 'hang' });
  await world.settle();
  world.api.put(wirePod('b', '10.1.0.2'));
  await world.clock.advance(150_000);
  expect(world.told.takeLog()).toEqual([]);
  await world.clock.advance(40_000);
  expect(world.told.takeLog()).toEqual(['+ Pod shop/b', 'settled']);
  expect(world.observed).toContain('watchStarted Pod idle');
  expect(world.observed.filter((line) => line.startsWith('failed'))).toEqual([]);
  expect(world.api.watches.size).toBe(7);
  await world.source.stop();
});

test('ends a watch that the server does not end in time', async () => {
  const world = sourceWorld();
  world.api.refuse = ({ query }) => {
    if (query.has('timeoutSeconds')) query.set('timeoutSeconds', '86400');
    return undefined;
  };
  await world.start();
  await world.clock.advance(620_000);
  expect(world.observed).toContain('watchStarted Pod overdue');
  expect(world.observed.filter((line) => line.startsWith('failed'))).toEqual([]);
  expect(world.api.watches.size).toBe(7);
  await world.source.stop();
});

test('waits longer and longer between watches that end as soon as they begin', async () => {
  const world = sourceWorld();
  await world.start();
  world.api.refuse = ({ query }) => {
    query.set('timeoutSeconds', '0');
    return undefined;
  };
  for (const watch of world.api.watches) watch.disturb({ effect: 'end' });
  await world.clock.advance(300_000);
  const watches = world.api.asked('WATCH', 'pods').length;
  expect(watches).toBeGreaterThan(8);
  expect(watches).toBeLessThan(40);
  expect(world.observed).toContain('failed Pod short');
  await world.source.stop();
});

test('does not come back before the server wants it', async () => {
  const world = sourceWorld();
  await world.start();
  const before = world.api.asked('WATCH', 'pods').length;
  world.api.refuse = () => status(429, 'TooManyRequests', 60_000);
  for (const watch of world.api.watches) watch.disturb({ effect: 'end' });
  await world.settle();
  await world.clock.advance(59_000);
  expect(world.api.asked('WATCH', 'pods').length - before).toBe(1);
  world.api.refuse = () => undefined;
  await world.clock.advance(2000);
  expect(world.api.asked('WATCH', 'pods').length - before).toBe(2);
  await world.source.stop();
});

test('counts a failure as the first again after two good minutes', async () => {
  const world = sourceWorld();
  await world.start();
  world.api.refuse = unreachable;
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.clock.advance(300_000);
  world.api.refuse = () => undefined;
  await world.clock.advance(160_000);
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.settle();
  expect(world.api.watches.size).toBe(0);
  await world.clock.advance(1600);
  expect(world.api.watches.size).toBe(7);
  await world.source.stop();
});

test('keeps everything while the server is away for ten minutes, and then tells only what changed', async () => {
  const world = sourceWorld();
  for (let index = 0; index < 300; index++)
    world.api.put(wireService(`s${index}`, `10.0.${index >> 8}.${index & 255}`));
  await world.start();
  await world.clock.advance(30_000);
  world.told.takeLog();
  world.api.refuse = unreachable;
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.clock.advance(300_000);
  world.api.put(wireService('s7', '10.0.9.7'));
  world.api.remove('services', 'shop', 's8');
  await world.clock.advance(300_000);
  expect(world.told.takeLog()).toEqual([]);
  expect(world.told.names('Service')).toHaveLength(300);

  world.api.refuse = () => undefined;
  await world.clock.advance(31_000);
  expect(world.told.takeLog().filter((line) => line !== 'settled')).toEqual([
    '+ Service shop/s7',
    '- Service shop/s8',
  ]);
  // One line for all seven kinds, and one that it is over.
  const lines = world.log.lines.filter((line) => line.startsWith('WARN'));
  expect(lines).toEqual([
    'WARN the API server https://10.96.0.1 gives no usable answer: connect ECONNREFUSED. What is known stays in effect; Weir keeps trying',
  ]);
  await world.clock.advance(60_000);
  expect(world.log.lines.at(-1)).toBe(
    'INFO over: the API server https://10.96.0.1 gives no usable answer: connect ECONNREFUSED',
  );
  await world.source.stop();
});

test('tells only what changed also when the server has forgotten where it was', async () => {
  const world = sourceWorld();
  for (let index = 0; index < 300; index++)
    world.api.put(wireService(`s${index}`, `10.0.${index >> 8}.${index & 255}`));
  await world.start();
  world.told.takeLog();
  world.api.refuse = unreachable;
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.clock.advance(60_000);
  world.api.put(wireService('s7', '10.0.9.7'));
  world.api.remove('services', 'shop', 's8');
  world.api.compact('services');
  world.api.refuse = () => undefined;
  await world.clock.advance(31_000);
  expect(world.told.takeLog()).toEqual(['+ Service shop/s7', '- Service shop/s8', 'settled']);
  await world.source.stop();
});

test('deletes nothing over a list that breaks off', async () => {
  const world = sourceWorld({ watchList: 'refused' });
  for (let index = 0; index < 700; index++)
    world.api.put(wirePod(`pod-${String(index).padStart(3, '0')}`, '10.1.0.1'));
  await world.start();
  world.told.takeLog();
  world.api.refuse = ({ verb, resource, query }) =>
    verb === 'LIST' && resource === 'pods' && query.has('continue') ? unreachable() : undefined;
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  world.api.remove('pods', 'shop', 'pod-699');
  world.api.compact('pods');
  await world.clock.advance(120_000);
  expect(world.told.takeLog()).toEqual([]);
  world.api.refuse = () => undefined;
  await world.clock.advance(31_000);
  expect(world.told.takeLog()).toEqual(['- Pod shop/pod-699', 'settled']);
  await world.source.stop();
});

test('reads a list whole whose pages expired on the way', async () => {
  const world = sourceWorld({ watchList: 'refused' });
  for (let index = 0; index < 700; index++)
    world.api.put(wirePod(`pod-${String(index).padStart(3, '0')}`, '10.1.0.1'));
  world.api.refuse = ({ verb, resource, query }) => {
    if (verb !== 'LIST' || resource !== 'pods' || !query.has('continue')) return undefined;
    // What the first page still had is gone when the whole list comes.
    world.api.remove('pods', 'shop', 'pod-001');
    world.api.expireLists();
    return undefined;
  };
  await world.start();
  expect(world.startState()).toBe('resolved');
  expect(world.told.names('Pod')).toHaveLength(699);
  expect(world.told.names('Pod')).not.toContain('pod-001');
  await world.source.stop();
});

test.each([
  ['list', 'refused'],
  ['watch', 'on'],
] as const)('never says synced while one kind may not be read, and names it: %s', async (verb, watchList) => {
  const world = sourceWorld({ watchList });
  world.api.put(wireService('web', '10.0.0.1'));
  world.api.refuse = (request) =>
    request.resource === 'networkpolicies' && !(request.verb === 'WATCH' && watchList === 'refused')
      ? forbidden('networkpolicies')
      : undefined;
  await world.start();
  await world.clock.advance(600_000);
  expect(world.startState()).toBe('pending');
  expect(world.told.log).toEqual(['+ Service shop/web']);
  const warnings = world.log.lines.filter((line) => line.startsWith('WARN'));
  expect(warnings).toEqual([
    `WARN the ServiceAccount may not ${verb} networkpolicies.networking.k8s.io: apply Weir's ClusterRole and its binding (the API server says: networkpolicies is forbidden: User "weir" cannot list them). No rule is written until they are known; Weir keeps trying`,
  ]);
  world.api.refuse = () => undefined;
  await world.clock.advance(31_000);
  expect(world.startState()).toBe('resolved');
  expect(world.told.log.slice(-2)).toEqual(['synced', 'settled']);
  await world.source.stop();
});

test.each([
  [status(401, 'Unauthorized'), "does not accept Weir's token or certificate (401)"],
  [unreachable(), 'connect ECONNREFUSED'],
  [status(503, 'ServiceUnavailable'), "can't list"],
  [status(429, 'TooManyRequests'), 'is busy and puts Weir off'],
])('waits for a server that answers %s at the start, and says so', async (error, words) => {
  const world = sourceWorld();
  world.api.put(wireService('web', '10.0.0.1'));
  world.api.refuse = () => error;
  await world.start();
  await world.clock.advance(300_000);
  expect(world.startState()).toBe('pending');
  expect(world.told.log).toEqual([]);
  const warnings = world.log.lines.filter((line) => line.startsWith('WARN') && line.includes(words));
  expect(warnings.length).toBeGreaterThanOrEqual(1);
  // Not again with every try.
  expect(warnings.length).toBeLessThanOrEqual(7);
  world.api.refuse = () => undefined;
  await world.clock.advance(31_000);
  expect(world.startState()).toBe('resolved');
  await world.source.stop();
});

test.each([forbidden('servicecidrs'), status(404, 'NotFound')])(
  'does without ServiceCIDRs: %s',
  async (error) => {
    const world = sourceWorld();
    world.api.refuse = ({ resource }) => (resource === 'servicecidrs' ? error : undefined);
    await world.start();
    expect(world.startState()).toBe('resolved');
    expect(world.log.lines.filter((line) => line.startsWith('WARN'))).toEqual([]);
    await world.clock.advance(3_600_000);
    const tries = world.api.asked('WATCH', 'servicecidrs').length;
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThanOrEqual(7);
    world.api.refuse = () => undefined;
    world.api.put({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'ServiceCIDR',
      metadata: { name: 'kubernetes' },
      spec: { cidrs: ['10.96.0.0/12'] },
    });
    await world.clock.advance(1_300_000);
    expect(world.told.names('ServiceCIDR')).toEqual(['kubernetes']);
    await world.source.stop();
  },
);

test('keeps the ServiceCIDRs it had when they may not be read any more', async () => {
  const world = sourceWorld();
  world.api.put({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'ServiceCIDR',
    metadata: { name: 'kubernetes' },
    spec: { cidrs: ['10.96.0.0/12'] },
  });
  await world.start();
  world.api.refuse = ({ resource }) => (resource === 'servicecidrs' ? forbidden('servicecidrs') : undefined);
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.clock.advance(3_600_000);
  expect(world.told.names('ServiceCIDR')).toEqual(['kubernetes']);
  await world.source.stop();
});

test('says which kinds were missing when it is stopped before it knows them', async () => {
  const world = sourceWorld();
  world.api.refuse = ({ resource }) => (resource === 'pods' ? unreachable() : undefined);
  await world.start();
  await world.source.stop();
  await world.settle();
  expect(world.startState()).toMatchObject({
    message: 'stopped before the API server had told everything: missing pods',
  });
});

test.each(['watching', 'waiting', 'listing'])('tells nothing after it was stopped while %s', async (when) => {
  const world = sourceWorld({ watchList: when === 'listing' ? 'refused' : 'on' });
  world.api.put(wirePod('a', '10.1.0.1'));
  if (when === 'waiting') world.api.refuse = unreachable;
  if (when === 'listing') {
    const json = world.api.json.bind(world.api);
    world.api.json = async (request, signal) => {
      const answer = await json(request, signal);
      await world.clock.sleep(1000);
      return answer;
    };
  }
  await world.start();
  const stopped = world.source.stop();
  world.told.takeLog();
  world.api.refuse = () => undefined;
  world.api.put(wirePod('b', '10.1.0.2'));
  await world.clock.advance(120_000);
  await stopped;
  expect(world.told.takeLog()).toEqual([]);
  expect(world.api.watches.size).toBe(0);
  expect(world.clock.sleeping).toBe(0);
});

test('takes in nothing that a client still gives after it was stopped', async () => {
  const world = sourceWorld();
  await world.start();
  world.told.takeLog();
  // The chunk is on its way when the source stops, and the client does not look at the signal.
  const late = Promise.withResolvers<Uint8Array>();
  const beginning = Promise.withResolvers<undefined>();
  world.api.open = async () => {
    beginning.resolve(undefined);
    return {
      chunks: (async function* () {
        yield await late.promise;
      })(),
    };
  };
  for (const watch of world.api.watches) watch.disturb({ effect: 'end' });
  await world.clock.advance(2000);
  await beginning.promise;
  const stopped = world.source.stop();
  const object = {
    ...wirePod('late', '10.1.0.2'),
    metadata: { name: 'late', namespace: 'shop', resourceVersion: '9' },
  };
  late.resolve(Buffer.from(`${JSON.stringify({ type: 'ADDED', object })}\n`));
  await stopped;
  expect(world.told.takeLog()).toEqual([]);
});

test('goes on from the last event', async () => {
  const world = sourceWorld();
  await world.start();
  world.api.put(wirePod('a', '10.1.0.1'));
  await world.settle();
  const [{ metadata } = { metadata: undefined }] = world.api.list('pods');
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.clock.advance(2000);
  const again = world.api.asked('WATCH', 'pods').at(-1);
  expect(again?.query.get('resourceVersion')).toBe((metadata as { resourceVersion: string }).resourceVersion);
  await world.source.stop();
});

test('does not list without a pause when every resourceVersion is too old at once', async () => {
  const world = sourceWorld({ watchList: 'refused' });
  let refusals = 0;
  world.api.refuse = ({ verb, resource, query }) => {
    if (verb !== 'WATCH' || resource !== 'pods' || !query.has('resourceVersion') || refusals > 500)
      return undefined;
    refusals += 1;
    return status(410, 'Expired');
  };
  await world.start();
  await world.clock.advance(300_000);
  expect(refusals).toBeGreaterThan(5);
  expect(refusals).toBeLessThan(40);
  await world.source.stop();
});

test('lists at once, without a word, after each of several restarts of the API server', async () => {
  const world = sourceWorld({ watchList: 'refused' });
  world.api.put(wirePod('a', '10.1.0.1'));
  await world.start();
  const said = world.log.lines.length;
  for (const restart of [1, 2, 3]) {
    await world.clock.advance(20_000);
    // Nothing was heard of pods since the list.
    for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
    world.api.put(wirePod('a', `10.1.0.${restart + 1}`));
    world.api.compact('pods');
    // The third pause before a broken watch begins anew is 1.6 · 2² s, and up to half of that more.
    await world.clock.advance(10_000);
    expect(world.told.objects.get('Pod shop/a')).toMatchObject({
      addresses: [{ ip: `10.1.0.${restart + 1}` }],
    });
  }
  const aloud = world.log.lines.slice(said).filter((line) => !line.startsWith('DEBUG'));
  expect(aloud).toEqual([]);
  await world.source.stop();
});

test.each([
  [1, []],
  [2, [expect.stringMatching(/^WARN the ServiceAccount may not watch pods: /)]],
] as const)('warns of a right that it had before from the second refusal on: %i', async (times, said) => {
  const world = sourceWorld({ watchList: 'refused' });
  await world.start();
  let refusals = 0;
  world.api.refuse = ({ verb, resource }) => {
    if (verb !== 'WATCH' || resource !== 'pods' || refusals === times) return undefined;
    refusals += 1;
    return status(403, 'Forbidden');
  };
  const before = world.log.lines.length;
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.clock.advance(20_000);
  expect(refusals).toBe(times);
  const aloud = world.log.lines.slice(before).filter((line) => line.startsWith('WARN'));
  expect(aloud).toEqual(said);
  await world.source.stop();
});

test('goes on when a handler throws', async () => {
  const world = sourceWorld();
  const upsert = world.told.upsert.bind(world.told);
  world.told.upsert = (object, triggeredAt) => {
    if (object.name === 'bad') throw new Error('no place for it');
    upsert(object, triggeredAt);
  };
  world.api.put(wirePod('bad', '10.1.0.1'));
  world.api.put(wirePod('good', '10.1.0.2'));
  await world.start();
  expect(world.startState()).toBe('resolved');
  expect(world.told.names('Pod')).toEqual(['good']);
  expect(world.log.lines).toContain('ERROR a fault in Weir while taking in a Pod: no place for it');
  expect(world.observed).toContain('failed Pod handler');
  await world.source.stop();
});

test('closes what a policy says unreadably, says so, and takes it back when it heals', async () => {
  const world = sourceWorld();
  world.api.put(wirePolicy('web', 'not a port!'));
  await world.start();
  expect(world.told.objects.get('NetworkPolicy shop/web')).toMatchObject({ ingress: [{ ports: [] }] });
  expect(world.told.problems.get('NetworkPolicy shop/web')).toMatchObject([
    {
      severity: 'error',
      kind: 'NetworkPolicy',
      namespace: 'shop',
      name: 'web',
      field: 'spec.ingress[0].ports[0].port',
    },
  ]);
  world.api.put(wirePolicy('web', 80));
  await world.settle();
  expect(world.told.problems.size).toBe(0);
  world.api.put(wirePolicy('web', 'not a port!'));
  await world.settle();
  expect(world.told.problems.size).toBe(1);
  world.api.remove('networkpolicies', 'shop', 'web');
  await world.settle();
  expect(world.told.problems.size).toBe(0);
  expect(world.told.objects.size).toBe(0);
  await world.source.stop();
});

test('keeps a Service as it was when it can not be read any more', async () => {
  const world = sourceWorld();
  world.api.put(wireService('web', '10.0.0.1'));
  await world.start();
  world.told.takeLog();
  world.api.put({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: 'none',
  });
  await world.settle();
  expect(world.told.takeLog()).toEqual(['? Service shop/web', 'settled']);
  expect(world.told.problems.get('Service shop/web')).toMatchObject([
    { severity: 'error', field: 'spec' },
    {
      severity: 'warning',
      field: '',
      message: 'can not be read any more; what it said before stays in effect',
    },
  ]);
  world.api.remove('services', 'shop', 'web');
  await world.settle();
  expect(world.told.takeLog()).toEqual(['- Service shop/web', '? Service shop/web', 'settled']);
  await world.source.stop();
});

test('lets an EndpointSlice go that has become nothing for Weir', async () => {
  const world = sourceWorld();
  world.api.put(wireSlice('web-1', '10.1.0.1'));
  await world.start();
  world.told.takeLog();
  world.api.put(wireSlice('web-1', '10.1.0.1', { labels: {} }));
  await world.settle();
  expect(world.told.takeLog()).toEqual(['- EndpointSlice shop/web-1', 'settled']);
  world.api.remove('endpointslices', 'shop', 'web-1');
  await world.settle();
  expect(world.told.takeLog()).toEqual([]);
  await world.source.stop();
});

test('says when the cause of a change happened, for changes after its start only', async () => {
  const key = 'endpoints.kubernetes.io/last-change-trigger-time';
  const labels = { 'kubernetes.io/service-name': 'web' };
  const epochMs = Date.UTC(2026, 10, 21, 10);
  const world = sourceWorld({ epochMs });
  const at = (seconds: number): object => ({
    labels,
    annotations: { [key]: new Date(epochMs + seconds * 1000).toISOString() },
  });
  world.api.put(wireSlice('early', '10.1.0.1', { ...at(60) }));
  await world.start();
  world.api.put(wireSlice('a', '10.1.0.2', { ...at(1.5) }));
  world.api.put(wireSlice('b', '10.1.0.3', { ...at(-60) }));
  world.api.put(wireSlice('c', '10.1.0.4', { labels, annotations: { [key]: 'yesterday' } }));
  await world.settle();
  expect(world.told.triggers).toEqual([['EndpointSlice shop/a', epochMs + 1500]]);
  expect(world.told.names('EndpointSlice')).toEqual(['a', 'b', 'c', 'early']);
  await world.source.stop();
});
