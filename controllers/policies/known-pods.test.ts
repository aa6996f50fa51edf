import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NamespacedName, namespacedName, type Pod } from '../../pkg/api/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import type { CniResult } from '../../pkg/source/index.ts';
import { KnownPods } from './known-pods.ts';

interface PodWords {
  readonly uid?: string;
  readonly ips?: readonly string[];
  readonly node?: string | undefined;
  readonly phase?: Pod['phase'];
  readonly hostNetwork?: boolean;
  readonly terminating?: boolean;
  readonly app?: string;
}

function pod(name: string, words: PodWords = {}): Pod {
  const {
    uid = `${name}-uid`,
    ips = [],
    phase = 'Running',
    hostNetwork = false,
    terminating = false,
  } = words;
  return {
    kind: 'Pod',
    namespace: 'shop',
    name,
    uid,
    labels: { app: words.app ?? name },
    nodeName: 'node' in words ? words.node : 'here',
    hostNetwork,
    addresses: ips.map((ip) => ({ family: ip.includes(':') ? 'IPv6' : 'IPv4', ip })),
    phase,
    ready: true,
    terminating,
    namedPorts: [],
  };
}

/** What a node's clock shows at first; results of second 1 to 20 were written in the 20 seconds before. */
const startSecond = 1000;

/** A result of the CNI cache, written at `second`. */
function result(name: string, second: number, ips: readonly string[], uid = `${name}-uid`): CniResult {
  return {
    namespace: 'shop',
    name,
    uid,
    containerId: `${name}-${second}`,
    addresses: ips,
    addedNs: BigInt(startSecond - 20 + second) * 1_000_000_000n,
  };
}

function nameOf({ name }: { readonly name: string }): NamespacedName {
  return namespacedName('shop', name);
}

/** Both sides, and somebody who re-reads the pods of which he is told. */
class World {
  readonly store = new Store();
  /** By the monotonic clock, in milliseconds. */
  now = 0;
  /** When the API was last heard; `undefined`: it always is. */
  asOf: number | undefined;
  readonly known = new KnownPods({
    store: this.store,
    nodeName: 'here',
    clock: { now: () => this.now },
    wallClock: () => startSecond * 1000 + this.now,
    podsAsOf: () => this.asOf ?? this.now,
  });
  readonly seen = new Map<NamespacedName, Pod>();
  #results: readonly CniResult[] = [];

  constructor(pods: readonly Pod[] = [], results: readonly CniResult[] = []) {
    for (const one of pods) this.store.upsert(one);
    this.say(results);
  }

  /** Lets time pass. */
  wait(seconds: number): void {
    this.now += seconds * 1000;
    this.say();
  }

  /** The names that changed. */
  say(results = this.#results): readonly string[] {
    // As the cache does: what has not changed stays the same object.
    this.#results = results.map(
      (one) => this.#results.find((former) => isDeepStrictEqual(former, one)) ?? one,
    );
    const changed = this.known.update(this.store.takeDirty().pods, this.#results);
    for (const name of changed) {
      const after = this.known.get(name);
      if (after === undefined) this.seen.delete(name);
      else this.seen.set(name, after);
    }
    return [...changed].map((name) => name.replace('shop/', ''));
  }

  upsert(...pods: readonly Pod[]): readonly string[] {
    for (const one of pods) this.store.upsert(one);
    return this.say();
  }

  remove(name: string): readonly string[] {
    this.store.remove('Pod', 'shop', name);
    return this.say();
  }

  /** The addresses of each pod that has any. */
  addresses(): Readonly<Record<string, string>> {
    const pods = [...this.seen.values()].filter(({ addresses }) => addresses.length > 0);
    const entries = pods.map(
      ({ name, addresses }) => [name, addresses.map(({ ip }) => ip).join(' ')] as const,
    );
    return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
}

const X = '10.0.0.1';
const Y = '10.0.0.2';
const X6 = 'fd00::1';

interface Case {
  readonly fact: string;
  readonly pods?: readonly Pod[];
  readonly results?: readonly CniResult[];
  readonly expected: Readonly<Record<string, string>>;
}

describe('a pod of the API without addresses', () => {
  it.each<Case>([
    {
      fact: 'has those of its result',
      pods: [pod('new', { phase: 'Pending' })],
      results: [result('new', 1, [X, X6])],
      expected: { new: `${X} ${X6}` },
    },
    {
      fact: 'has none without a result',
      pods: [pod('new')],
      results: [result('other', 1, [X])],
      expected: {},
    },
    {
      fact: 'has none from a result of another uid',
      pods: [pod('new')],
      results: [result('new', 1, [X], 'former')],
      expected: {},
    },
    {
      fact: 'has those of a result without uid',
      pods: [pod('new')],
      results: [result('new', 1, [X], '')],
      expected: { new: X },
    },
    {
      fact: 'has those of a result when it has no uid itself',
      pods: [pod('new', { uid: '' })],
      results: [result('new', 1, [X])],
      expected: { new: X },
    },
    {
      fact: 'has none from a result without uid while it is not on this node',
      pods: [pod('new', { node: 'there' }), pod('pending', { node: undefined })],
      results: [result('new', 1, [X], ''), result('pending', 1, [Y], '')],
      expected: {},
    },
    {
      fact: 'has those of its uid before the API says on which node it is',
      pods: [pod('new', { node: undefined })],
      results: [result('new', 1, [X])],
      expected: { new: X },
    },
    {
      fact: 'has none on the network of the node',
      pods: [pod('new', { hostNetwork: true })],
      results: [result('new', 1, [X])],
      expected: {},
    },
    {
      fact: 'has none after it has completed',
      pods: [pod('done', { phase: 'Succeeded' }), pod('lost', { phase: 'Failed' })],
      results: [result('done', 1, [X]), result('lost', 1, [Y])],
      expected: {},
    },
    {
      fact: 'has its address while it ends',
      pods: [pod('old', { terminating: true })],
      results: [result('old', 1, [X])],
      expected: { old: X },
    },
    {
      fact: 'has only what the runtime gave to nobody later',
      pods: [pod('new')],
      results: [result('new', 1, [X, X6]), result('later', 2, [X])],
      expected: { new: X6 },
    },
    {
      fact: 'has the first address of each family, in canonical text, and none that many pods have',
      pods: [pod('new')],
      results: [
        result('new', 1, ['fe80::1', '127.0.0.1', '::1', '169.254.1.1', 'x', 'FD00:0::1', X, Y, 'fd00::2']),
      ],
      expected: { new: `${X6} ${X}` },
    },
  ])('$fact', ({ pods, results, expected }) => {
    expect(new World(pods, results).addresses()).toEqual(expected);
  });
});

describe('a pod of the API with addresses', () => {
  const old = pod('old', { ips: [X] });

  it.each<Case>([
    { fact: 'keeps them without results', pods: [old], expected: { old: X } },
    {
      fact: 'keeps what its own result says too',
      pods: [old],
      results: [result('old', 1, [X])],
      expected: { old: X },
    },
    {
      fact: 'keeps them where its result says something else',
      pods: [old],
      results: [result('old', 1, [Y])],
      expected: { old: X },
    },
    {
      fact: 'gets the family that the API does not show',
      pods: [old],
      results: [result('old', 1, [Y, X6])],
      expected: { old: `${X} ${X6}` },
    },
    {
      fact: 'loses one that the runtime gave to a pod that the API does not know',
      pods: [pod('old', { ips: [X, X6] })],
      results: [result('new', 1, [X])],
      expected: { old: X6 },
    },
    {
      fact: 'loses one that the runtime gave to a pod that the API knows without address',
      pods: [old, pod('new', { phase: 'Pending' })],
      results: [result('new', 2, [X]), result('old', 1, [X])],
      expected: { new: X },
    },
    {
      fact: 'loses one to the pod that the API lists with it too, where that got it later',
      pods: [old, pod('new', { ips: [X] })],
      results: [result('new', 2, [X]), result('old', 1, [X])],
      expected: { new: X },
    },
    {
      fact: 'keeps one that it got later than the other',
      pods: [old, pod('new', { ips: [X] })],
      results: [result('new', 1, [X]), result('old', 2, [X])],
      expected: { old: X },
    },
    {
      fact: 'keeps one that others are listed with, where no result has it',
      pods: [old, pod('new', { ips: [X] })],
      results: [result('new', 2, [Y])],
      expected: { new: X, old: X },
    },
    {
      fact: 'loses one to a later pod of its own name',
      pods: [old],
      results: [result('old', 2, [X], 'next')],
      expected: {},
    },
    {
      fact: 'has that of its new sandbox once the old one is given away',
      pods: [old],
      results: [result('old', 3, [Y]), result('new', 2, [X])],
      expected: { old: Y },
    },
    {
      fact: 'loses one on another node to a pod that the API knows here',
      pods: [pod('far', { ips: [X], node: 'there' }), pod('new')],
      results: [result('new', 1, [X])],
      expected: { new: X },
    },
    {
      fact: "keeps the node's on the network of the node",
      pods: [pod('agent', { ips: [X], hostNetwork: true })],
      results: [result('new', 1, [X])],
      expected: { agent: X },
    },
  ])('$fact', ({ pods, results, expected }) => {
    expect(new World(pods, results).addresses()).toEqual(expected);
  });

  it('has everything else from the API, and is the very object of the API where nothing is corrected', () => {
    const stored = pod('new', { phase: 'Pending', app: 'web' });
    const world = new World([stored, old], [result('new', 1, [Y])]);
    expect(world.known.get(nameOf(stored))).toEqual({ ...stored, addresses: [{ family: 'IPv4', ip: Y }] });
    expect(world.known.get(nameOf(old))).toBe(old);
  });
});

describe('a result that the API does not confirm', () => {
  const live = pod('live', { ips: [X] });
  const far = pod('far', { ips: [X], node: 'there' });
  const stale = result('stranger', 5, [X]);
  const gone = -11;

  it.each<Case & { readonly later: Case['expected'] }>([
    {
      fact: 'takes an address from the pod that the API lists with it, for half a minute',
      pods: [live],
      results: [stale],
      expected: {},
      later: { live: X },
    },
    {
      fact: 'does so to a pod on another node',
      pods: [far],
      results: [stale],
      expected: {},
      later: { far: X },
    },
    {
      fact: 'does not where the own result of that pod is there, though it is older',
      pods: [live],
      results: [result('live', 1, [X]), stale],
      expected: { live: X },
      later: { live: X },
    },
    {
      fact: 'does not to a pod that ends but still has its result',
      pods: [pod('live', { ips: [X], terminating: true })],
      results: [result('live', 1, [X]), stale],
      expected: { live: X },
      later: { live: X },
    },
    {
      fact: 'does so where the own result has another address by now',
      pods: [live],
      results: [result('live', 1, [Y]), stale],
      expected: { live: Y },
      later: { live: X },
    },
    {
      fact: 'does so where it is of a later pod of the same name',
      pods: [live],
      results: [result('live', 5, [X], 'next')],
      expected: {},
      later: { live: X },
    },
    {
      fact: 'is ignored at once when the file is older than that',
      pods: [live, pod('six', { ips: [X6], node: 'there' })],
      results: [result('stranger', gone, [X, X6])],
      expected: { live: X, six: X6 },
      later: { live: X, six: X6 },
    },
    {
      fact: 'counts from when it was first seen when its time is in the future',
      pods: [live],
      results: [result('stranger', 4000, [X])],
      expected: {},
      later: { live: X },
    },
    {
      fact: 'takes nothing from a witness when its time is in the future',
      pods: [live],
      results: [result('live', 1, [X]), result('stranger', 4000, [X])],
      expected: { live: X },
      later: { live: X },
    },
    {
      fact: 'stays better than a pod of this node without result, when its pod is here with another address',
      pods: [live, far, pod('moved', { ips: [Y] })],
      results: [result('moved', 5, [X])],
      expected: { moved: Y },
      later: { far: X, moved: Y },
    },
    {
      fact: 'is never better than two witnesses, when its pod is here with another address',
      pods: [live, pod('moved', { ips: [Y] })],
      results: [result('live', 1, [X]), result('moved', 5, [X])],
      expected: { live: X, moved: Y },
      later: { live: X, moved: Y },
    },
    {
      fact: 'is ignored when its pod has completed or is on the network of the node',
      pods: [
        live,
        pod('done', { phase: 'Failed' }),
        pod('six', { ips: [X6] }),
        pod('agent', { hostNetwork: true }),
      ],
      results: [result('done', 5, [X]), result('agent', 5, [X6])],
      expected: { live: X, six: X6 },
      later: { live: X, six: X6 },
    },
    {
      fact: 'keeps a new pod from an address that it got before',
      pods: [pod('new')],
      results: [result('new', 1, [X]), stale],
      expected: {},
      later: { new: X },
    },
    {
      fact: 'is behind one that the API confirms, whatever their order',
      pods: [live, pod('new')],
      results: [result('live', 1, [X]), result('new', 3, [X]), stale],
      expected: {},
      later: { new: X },
    },
  ])('$fact', ({ pods, results, expected, later }) => {
    const world = new World(pods, results);
    expect(world.addresses()).toEqual(expected);
    world.wait(30);
    expect(world.addresses()).toEqual(later);
    expect(world.known.recheckInMs()).toBeUndefined();
  });

  it('has its half a minute, and asks for another look then', () => {
    const world = new World([live], [stale]);
    expect(world.known.recheckInMs()).toBe(15_000);
    world.wait(14);
    expect(world.addresses()).toEqual({});
    expect(world.known.recheckInMs()).toBe(1000);
    world.wait(1);
    expect(world.addresses()).toEqual({ live: X });
    expect(world.known.recheckInMs()).toBeUndefined();
  });

  it('outranks an API that has not been heard since', () => {
    const world = new World([live], [stale]);
    world.asOf = 0;
    world.wait(3600);
    expect(world.addresses()).toEqual({});
    expect(world.known.recheckInMs()).toBe(5000);
    world.asOf = 14_000;
    world.say();
    expect(world.addresses()).toEqual({});
    world.asOf = 15_000;
    world.say();
    expect(world.addresses()).toEqual({ live: X });
  });

  it('has its time from the file on, whatever else is written', () => {
    const world = new World([live], [stale]);
    world.wait(10);
    // The runtime touched the file, and it was read again.
    world.say([{ ...stale }, result('other', 21, [Y])]);
    world.wait(5);
    expect(world.addresses()).toEqual({ live: X });
    world.say([result('stranger', 35, [X])]);
    expect(world.addresses()).toEqual({});
  });

  it('is named when it is ignored, for as long as it is', () => {
    const world = new World([live, far], [result('live', 1, [X]), stale]);
    expect(world.known.ignored()).toEqual([]);
    world.wait(15);
    const ignored = { ip: X, pod: 'shop/stranger', containerId: 'stranger-5' };
    expect(world.known.ignored()).toEqual([{ ...ignored, owner: 'shop/live' }]);
    world.say([stale]);
    expect(world.known.ignored()).toEqual([
      { ...ignored, owner: 'shop/far' },
      { ...ignored, owner: 'shop/live' },
    ]);
    world.say([]);
    expect(world.known.ignored()).toEqual([]);
  });
});

describe('addresses that the runtime gave to pods', () => {
  const unowned = ({ known }: World): readonly string[] =>
    known.unowned().map(({ ip, pod }) => `${pod} ${ip}`);

  it('are unowned until the API knows the pod', () => {
    const world = new World([], [result('new', 1, [X, X6]), result('other', 2, [Y])]);
    expect(unowned(world)).toEqual([`shop/new ${X}`, `shop/new ${X6}`, `shop/other ${Y}`]);
    world.upsert(pod('new'));
    expect(unowned(world)).toEqual([`shop/other ${Y}`]);
    world.say([result('new', 1, [X, X6])]);
    expect(unowned(world)).toEqual([]);
  });

  it('are owned by whichever pod has them, here or elsewhere, and by none that has completed', () => {
    const old = [result('x', -11, [X]), result('y', -11, [Y])];
    const world = new World([pod('here', { ips: [X] }), pod('far', { ips: [Y], node: 'there' })], old);
    expect(unowned(world)).toEqual([]);
    world.upsert(pod('here', { ips: [X], phase: 'Succeeded' }), pod('far', { ips: [Y], hostNetwork: true }));
    expect(unowned(world)).toEqual([`shop/x ${X}`, `shop/y ${Y}`]);
  });

  it('are unowned while a result may be that of a later pod', () => {
    const world = new World([pod('old', { ips: [X] })], [result('new', 5, [X])]);
    expect(unowned(world)).toEqual([`shop/new ${X}`]);
    world.wait(15);
    expect(unowned(world)).toEqual([]);
  });
});

describe('changes', () => {
  it('are told of the pods that are others than before, and of no other', () => {
    const world = new World([pod('old', { ips: [X] }), pod('bystander', { ips: [Y] })]);
    expect([...world.seen.keys()]).toEqual(['shop/bystander', 'shop/old']);
    expect(world.say()).toEqual([]);
    expect(world.say([result('new', 1, [X])])).toEqual(['old']);
    expect(world.upsert(pod('new'))).toEqual(['new']);
    // The API shows what the cache has said: nothing is another than before.
    expect(world.upsert(pod('new', { ips: [X] }))).toEqual([]);
    expect(world.upsert(pod('new', { ips: [X], app: 'web' }))).toEqual(['new']);
    expect(world.remove('new')).toEqual(['new']);
    expect(world.say([])).toEqual(['old']);
  });

  it('of results are told of the pods that win or lose by them', () => {
    const [first, later] = [result('new', 1, [X]), result('later', 2, [X])];
    const world = new World([pod('new')], [first]);
    expect(world.say([first, later])).toEqual(['new']);
    expect(world.addresses()).toEqual({});
    expect(world.say([first])).toEqual(['new']);
    expect(world.addresses()).toEqual({ new: X });
  });

  it('of a pod here are told of the pod elsewhere that loses its address to it', () => {
    const world = new World([pod('far', { ips: [X], node: 'there' })], [result('new', -11, [X])]);
    expect(world.addresses()).toEqual({ far: X });
    expect(world.upsert(pod('new'))).toEqual(['far', 'new']);
    expect(world.remove('new')).toEqual(['far', 'new']);
  });
});

/** Every order in which these can come. */
function orders<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  if (items.length === 0) return [[]];
  return items.flatMap((first, index) => orders(items.toSpliced(index, 1)).map((rest) => [first, ...rest]));
}

describe('a pod that is replaced', () => {
  it('by another name at its address ends right in every order of events', () => {
    const events = {
      delete: (world: World) => world.remove('old'),
      add: (world: World) => world.upsert(pod('new')),
      result: (world: World) => world.say([result('new', 2, [X])]),
    };
    for (const order of orders(Object.values(events))) {
      const world = new World([pod('old', { ips: [X] })], [result('old', 1, [X])]);
      for (const event of order) event(world);
      expect(world.addresses()).toEqual({ new: X });
    }
  });

  it('by a StatefulSet under its name and address is closed from the result until the API knows the new one', () => {
    const before = pod('db-0', { uid: 'first', ips: [X], app: 'before' });
    const world = new World([before], [result('db-0', 1, [X], 'first')]);
    expect(world.addresses()).toEqual({ 'db-0': X });
    world.say([]);
    expect(world.addresses()).toEqual({ 'db-0': X });
    world.say([result('db-0', 2, [X], 'second')]);
    expect(world.addresses()).toEqual({});
    world.remove('db-0');
    expect(world.addresses()).toEqual({});
    const after = pod('db-0', { uid: 'second', phase: 'Pending', app: 'after' });
    world.upsert(after);
    expect(world.known.get(nameOf(after))).toEqual({ ...after, addresses: before.addresses });
  });
});

const names = ['a', 'b', 'c'] as const;
const ips = fc.uniqueArray(fc.constantFrom(X, Y, X6), { maxLength: 2, selector: (ip) => ip.includes(':') });
const uid = fc.constantFrom('1', '2', '');

const anyPod = fc
  .record({
    name: fc.constantFrom(...names),
    uid,
    ips,
    node: fc.constantFrom('here', 'here', 'there', undefined),
    phase: fc.constantFrom<Pod['phase']>('Pending', 'Running', 'Succeeded'),
    hostNetwork: fc.constantFrom(false, false, false, true),
  })
  .map(({ name, ...words }) => pod(name, words));

const anyResults = fc.uniqueArray(
  fc
    .record({
      name: fc.constantFrom(...names, 'stranger'),
      // Some too old to count without the API, some from the future.
      second: fc.integer({ min: -13, max: 22 }),
      ips: ips.filter((some) => some.length > 0),
      uid,
    })
    .map((words) => result(words.name, words.second, words.ips, words.uid)),
  { selector: ({ name }) => name },
);

const anyEvent = fc.oneof(
  anyPod.map((one) => (world: World) => world.upsert(one)),
  anyPod.map((one) => (world: World) => world.store.upsert(one)),
  fc.constantFrom(...names).map((name) => (world: World) => world.remove(name)),
  anyResults.map((results) => (world: World) => world.say(results)),
);

describe('any events', () => {
  it('end as the last words of both sides say, in whatever order those come', () => {
    const lastWords = fc.uniqueArray(anyPod, { selector: ({ name }) => name });
    const property = fc.property(
      fc.array(anyEvent),
      lastWords,
      anyResults,
      fc.nat(3),
      (events, pods, results, when) => {
        const world = new World();
        for (const event of events) event(world);
        const last = [
          ...pods.map((one) => () => world.upsert(one)),
          ...names
            .filter((name) => pods.every((one) => one.name !== name))
            .map((name) => () => world.remove(name)),
        ];
        for (const word of last.toSpliced(when, 0, () => world.say(results))) word();
        const fresh = new World(pods, results);
        for (const seconds of [0, 30]) {
          for (const one of [world, fresh]) one.wait(seconds);
          expect(world.seen).toEqual(fresh.seen);
          expect(world.known.unowned()).toEqual(fresh.known.unowned());
          expect(world.known.ignored()).toEqual(fresh.known.ignored());
          for (const name of names) {
            expect(world.known.get(nameOf({ name }))).toEqual(world.seen.get(nameOf({ name })));
          }
        }
        expect(world.known.recheckInMs()).toBeUndefined();
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  it('leave an address that the runtime gave to a pod with no other, but for two witnesses against one', () => {
    fc.assert(
      fc.property(fc.array(anyEvent), anyResults, (events, results) => {
        const world = new World();
        for (const event of events) event(world);
        world.say(results);
        for (const ip of [X, Y, X6]) {
          const counting = results.filter((one) => one.addresses.includes(ip) && counts(world, one, ip));
          const owner = counting.toSorted(newestFirst)[0];
          if (owner === undefined) continue;
          const isConfirmed = apiSays(world, owner, ip) === 'yes';
          const others = [...world.seen.values()].filter(
            (one) =>
              isOfNetwork(one) &&
              one.name !== owner.name &&
              one.addresses.some((address) => address.ip === ip) &&
              (isConfirmed || !isWitness(world, results, one, ip)),
          );
          expect(others).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });
});

function isOfNetwork({ hostNetwork, phase }: Pod): boolean {
  return !hostNetwork && phase !== 'Succeeded';
}

function newestFirst(a: CniResult, b: CniResult): number {
  if (a.addedNs !== b.addedNs) return a.addedNs > b.addedNs ? -1 : 1;
  return a.containerId > b.containerId ? -1 : 1;
}

function isResultOf(one: CniResult, known: Pod | undefined): known is Pod {
  if (known === undefined || known.name !== one.name) return false;
  return one.uid === '' || known.uid === '' ? known.nodeName === 'here' : one.uid === known.uid;
}

function apiSays({ store }: World, one: CniResult, ip: string): 'yes' | 'no' | 'nothing' {
  const known = store.get('Pod', 'shop', one.name);
  if (!isResultOf(one, known)) return 'nothing';
  if (!isOfNetwork(known)) return 'no';
  const family = ip.includes(':') ? 'IPv6' : 'IPv4';
  const listed = known.addresses.find((address) => address.family === family);
  return listed === undefined || listed.ip === ip ? 'yes' : 'nothing';
}

function counts(world: World, one: CniResult, ip: string): boolean {
  const said = apiSays(world, one, ip);
  const isFresh = one.addedNs > BigInt(startSecond - 30) * 1_000_000_000n;
  return said === 'yes' || (said === 'nothing' && isFresh);
}

/** Listed with the address by the API as well as by the newest result of its name. */
function isWitness({ store }: World, results: readonly CniResult[], { name }: Pod, ip: string): boolean {
  const known = store.get('Pod', 'shop', name);
  const own = results.find((one) => one.name === name);
  return (
    own !== undefined &&
    isResultOf(own, known) &&
    own.addresses.includes(ip) &&
    known.addresses.some((address) => address.ip === ip)
  );
}
