import { expect, test } from 'vitest';
import { FakeClock } from '../../../test/support/fake-clock.ts';
import { type AskedRequest, unreachable } from '../../../test/support/in-memory-api-client.ts';
import { type Disturbance, errorLine } from '../../../test/support/in-memory-watch.ts';
import { type SourceWorld, sourceWorld, status, wirePod } from '../../../test/support/source-world.ts';
import { StreamingLists } from './streaming-lists.ts';

type Begin = Disturbance & { readonly afterLines?: number };
type Fault = { readonly refuse: Error } | { readonly begin: Begin } | 'no answer' | 'no-progress';

const says = (code: number, reason: string, details?: object): { readonly begin: Begin } => ({
  begin: { effect: 'say', text: errorLine({ code, reason, message: `${reason} as ordered`, details }) },
});

/** All the ways in which a request for a stream, or a watch, may come to nothing. */
const faults: readonly (readonly [string, Fault])[] = [
  ['an ERROR event 500, as of an etcd without progress notifications', 'no-progress'],
  ['an ERROR event 429', says(429, 'TooManyRequests', { retryAfterSeconds: 1 })],
  ['an ERROR event 410', says(410, 'Expired')],
  ['an ERROR event 503', says(503, 'ServiceUnavailable')],
  ['an ERROR event 504', says(504, 'Timeout', { retryAfterSeconds: 1 })],
  ['an answer 400', { refuse: status(400, 'BadRequest') }],
  ['an answer 401', { refuse: status(401, 'Unauthorized') }],
  ['an answer 403', { refuse: status(403, 'Forbidden') }],
  ['an answer 404', { refuse: status(404, 'NotFound') }],
  ['an answer 422', { refuse: status(422, 'Invalid') }],
  ['an answer 429', { refuse: status(429, 'TooManyRequests', 1000) }],
  ['an answer 500', { refuse: status(500, 'InternalError') }],
  ['an answer 503', { refuse: status(503, 'ServiceUnavailable') }],
  ['no connection', { refuse: unreachable() }],
  ['a fault in the client', { refuse: new TypeError('a fault in the client') }],
  ['no answer', 'no answer'],
  ['silence', { begin: { effect: 'hang' } }],
  ['silence in the middle', { begin: { effect: 'hang', afterLines: 1 } }],
  ['an early end', { begin: { effect: 'end', afterLines: 1 } }],
  ['an end without a word', { begin: { effect: 'end' } }],
  ['a reset', { begin: { effect: 'reset', afterLines: 1 } }],
  ['half a line', { begin: { effect: 'say', text: '{"type":"ADDED","object":{"metadata":{"na' } }],
  ['a line that is no JSON', { begin: { effect: 'say', text: '<html>\n', afterLines: 1 } }],
];

const isStream = ({ query }: AskedRequest): boolean => query.has('sendInitialEvents');
const streams = ({ api }: SourceWorld): readonly AskedRequest[] => api.requests.filter(isStream);

/** A world in which a fault befalls some requests, for good. */
function faultyWorld(fault: Fault, befalls: (request: AskedRequest) => boolean): SourceWorld {
  const world = sourceWorld({ watchList: fault === 'no-progress' ? 'no-progress' : 'on' });
  for (const name of ['a', 'b', 'c']) world.api.put(wirePod(name, '10.1.0.1'));
  if (fault === 'no answer') {
    const open = world.api.open.bind(world.api);
    world.api.open = async (request, signal) => {
      const stream = await open(request, signal);
      const asked = world.api.requests.at(-1);
      if (asked === undefined || !befalls(asked)) return stream;
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    };
  } else if (typeof fault === 'object') {
    world.api.refuse = (asked) => ('refuse' in fault && befalls(asked) ? fault.refuse : undefined);
    world.api.begin = (asked) => ('begin' in fault && befalls(asked) ? fault.begin : undefined);
  }
  return world;
}

test.each(faults)('lists by pages where every stream comes to %s, for good', async (_, fault) => {
  const world = faultyWorld(fault, isStream);
  await world.start();
  await world.clock.advance(20_000);
  expect(world.startState()).toBe('resolved');
  expect(world.told.names('Pod')).toEqual(['a', 'b', 'c']);
  world.told.takeLog();
  world.api.put(wirePod('d', '10.1.0.1'));
  world.api.remove('pods', 'shop', 'a');
  await world.settle();
  expect(world.told.takeLog()).toEqual(['+ Pod shop/d', '- Pod shop/a', 'settled']);

  await world.clock.advance(500_000);
  // Each kind once, and the pages of each kind once.
  expect(streams(world).length).toBeLessThanOrEqual(7);
  expect(world.api.requests.filter(({ verb }) => verb === 'LIST')).toHaveLength(7);
  await world.source.stop();
});

test.each(faults)('takes nothing away over a stream that comes to %s', async (_, fault) => {
  let streamsFail = false;
  const world = faultyWorld(fault, (asked) => streamsFail && isStream(asked));
  await world.start();
  streamsFail = true;
  world.told.takeLog();
  world.api.put(wirePod('b', '10.1.0.9'));
  await world.settle();
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  world.api.remove('pods', 'shop', 'c');
  world.api.compact('pods');
  await world.clock.advance(30_000);
  const told = world.told.takeLog().filter((line) => line !== 'settled');
  expect(told).toEqual(['+ Pod shop/b', '- Pod shop/c']);
  await world.source.stop();
});

test('says once, and not as a warning, that the server does not stream', async () => {
  const world = sourceWorld({ watchList: 'no-progress' });
  await world.start();
  await world.clock.advance(300_000);
  const aloud = world.log.lines.filter((line) => !line.startsWith('DEBUG'));
  expect(aloud).toEqual([
    expect.stringMatching(
      /^INFO the API server did not stream a list to its end \(.*RequestWatchProgress is disabled\): Weir lists by pages/,
    ),
    expect.stringMatching(/^INFO the API server has told everything/),
  ]);
  await world.source.stop();
});

/** Every kind needs a new complete state. */
async function expireAll(world: SourceWorld): Promise<void> {
  for (const plural of [
    'services',
    'endpointslices',
    'nodes',
    'namespaces',
    'networkpolicies',
    'pods',
  ] as const)
    world.api.compact(plural);
  world.api.compact('servicecidrs');
  for (const watch of world.api.watches)
    watch.disturb({ effect: 'say', text: errorLine({ code: 410, reason: 'Expired' }) });
  await world.clock.advance(20_000);
}

test('remembers for all kinds that streams fail, tries with one of them ten minutes later, and believes what comes', async () => {
  const world = sourceWorld();
  let streamsFail = true;
  world.api.begin = (asked) => (streamsFail && isStream(asked) ? { effect: 'end' } : undefined);
  const streamsOf = async (happening: () => Promise<void>): Promise<number> => {
    const before = streams(world).length;
    await happening();
    return streams(world).length - before;
  };
  await world.start();
  expect(streams(world)).toHaveLength(7);
  // All kinds relist at once, and none of them asks.
  expect(await streamsOf(() => expireAll(world))).toBe(0);
  await world.clock.advance(600_000);
  expect(await streamsOf(() => expireAll(world))).toBe(1);
  expect(await streamsOf(() => expireAll(world))).toBe(0);
  // An upgrade, say.
  streamsFail = false;
  await world.clock.advance(600_000);
  expect(await streamsOf(() => expireAll(world))).toBeGreaterThanOrEqual(1);
  expect(await streamsOf(() => expireAll(world))).toBe(7);
  expect(world.startState()).toBe('resolved');
  await world.source.stop();
});

test('gets its state as a stream where lists fail for good', async () => {
  const world = sourceWorld();
  world.api.put(wirePod('a', '10.1.0.1'));
  let streamsLeft = 7;
  // The first stream of each kind breaks; pages never come.
  world.api.begin = (asked) => (isStream(asked) && streamsLeft-- > 0 ? { effect: 'reset' } : undefined);
  world.api.refuse = ({ verb }) => (verb === 'LIST' ? status(500, 'InternalError') : undefined);
  await world.start();
  await world.clock.advance(5000);
  expect(world.startState()).toBe('resolved');
  expect(world.told.names('Pod')).toEqual(['a']);
  await world.source.stop();
});

const isResumed = ({ verb, query }: AskedRequest): boolean =>
  verb === 'WATCH' && query.has('resourceVersion');
const isWatch = ({ verb }: AskedRequest): boolean => verb === 'WATCH';

test.each(faults.filter(([, fault]) => fault !== 'no-progress'))(
  'hears of changes by lists where every watch comes to %s, for good',
  async (_, fault) => {
    const world = faultyWorld(fault, isWatch);
    await world.start();
    await world.clock.advance(30_000);
    expect(world.startState()).toBe('resolved');
    world.told.takeLog();
    world.api.put(wirePod('d', '10.1.0.1'));
    world.api.remove('pods', 'shop', 'a');
    // Silence lasts the longest: a quiet kind may be silent for ten minutes.
    await world.clock.advance(1_200_000);
    expect(world.told.names('Pod')).toEqual(['b', 'c', 'd']);
    const asked = world.api.requests.length;
    await world.clock.advance(3_600_000);
    // Each wait is half a minute at most, and at least half of that: a list and a watch each time, for seven kinds.
    expect(world.api.requests.length - asked).toBeLessThan(7 * 60 * 4 * 2);
    await world.source.stop();
  },
);

test.each(faults.filter(([, fault]) => fault !== 'no-progress'))(
  'goes on from where it was where watches come to %s for two minutes',
  async (_, fault) => {
    let watchesFail = false;
    const world = faultyWorld(fault, (asked) => watchesFail && isResumed(asked));
    await world.start();
    watchesFail = true;
    for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
    await world.clock.advance(120_000);
    watchesFail = false;
    world.api.put(wirePod('d', '10.1.0.1'));
    await world.clock.advance(200_000);
    expect(world.told.names('Pod')).toEqual(['a', 'b', 'c', 'd']);
    await world.source.stop();
  },
);

test('reads a kind once where its watch is silent because nothing happens and the server does not know how far it is', async () => {
  const world = sourceWorld({ watchList: 'no-progress' });
  world.api.put(wirePod('a', '10.1.0.1'));
  await world.start();
  // Others go on, so that the version of the whole server does.
  for (let minute = 0; minute < 120; minute++) {
    world.api.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `n${minute}` } });
    await world.clock.advance(60_000);
  }
  expect(world.api.asked('LIST', 'pods')).toHaveLength(1);
  expect(world.observed.filter((line) => line.startsWith('failed Pod'))).toEqual(['failed Pod server_error']);
  expect(world.log.lines.filter((line) => /^(?:WARN|ERROR)/.test(line))).toEqual([]);
  world.api.put(wirePod('b', '10.1.0.1'));
  await world.settle();
  expect(world.told.names('Pod')).toEqual(['a', 'b']);
  await world.source.stop();
});

test.each([undefined, 1000, 60_000])(
  'does not loop where everything is answered with 429, Retry-After %s',
  async (retryAfterMs) => {
    const world = sourceWorld();
    world.api.refuse = () => status(429, 'TooManyRequests', retryAfterMs);
    await world.start();
    await world.clock.advance(600_000);
    expect(world.startState()).toBe('pending');
    const perKind = world.api.requests.filter(({ resource }) => resource === 'pods').length;
    expect(perKind).toBeGreaterThan(8);
    expect(perKind).toBeLessThan(retryAfterMs === 60_000 ? 12 : 50);
    await world.source.stop();
  },
);

test.each([400, 500, 503])('does not loop where everything is answered with %i', async (code) => {
  const world = sourceWorld();
  world.api.refuse = () => status(code, 'No');
  await world.start();
  await world.clock.advance(600_000);
  // A stream and a list for each wait.
  expect(world.api.requests.filter(({ resource }) => resource === 'pods').length).toBeLessThan(100);
  await world.source.stop();
});

test('one kind in ten minutes may try again, until a stream has worked', async () => {
  const clock = new FakeClock();
  const lists = new StreamingLists(clock);
  expect([lists.mayTry(), lists.mayTry()]).toEqual([true, true]);
  expect([lists.failed(), lists.failed()]).toEqual([true, false]);
  expect(lists.mayTry()).toBe(false);
  await clock.advance(600_000);
  expect([lists.mayTry(), lists.mayTry()]).toEqual([true, false]);
  lists.worked();
  expect([lists.mayTry(), lists.mayTry()]).toEqual([true, true]);
});
