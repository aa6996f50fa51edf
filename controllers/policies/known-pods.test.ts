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

/** A result of the CNI cache, written at `second`. */
function result(name: string, second: number, ips: readonly string[], uid = `${name}-uid`): CniResult {
  return {
    namespace: 'shop',
    name,
    uid,
    containerId: `${name}-${second}`,
    addresses: ips,
    addedNs: BigInt(second) * 1_000_000_000n,
  };
}

function nameOf({ name }: { readonly name: string }): NamespacedName {
  return namespacedName('shop', name);
}

/** Both sides, and somebody who re-reads the pods of which he is told. */
class World {
  readonly store = new Store();
  readonly known = new KnownPods({ store: this.store, nodeName: 'here' });
  readonly seen = new Map<NamespacedName, Pod>();
  #results: readonly CniResult[] = [];

  constructor(pods: readonly Pod[] = [], results: readonly CniResult[] = []) {
    for (const one of pods) this.store.upsert(one);
    this.say(results);
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
      fact: 'keeps one on another node where the result may be a forgotten one',
      pods: [pod('far', { ips: [X], node: 'there' })],
      results: [result('gone', 1, [X])],
      expected: { far: X },
    },
    {
      fact: 'loses one on another node to a pod that the API knows here',
      pods: [pod('far', { ips: [X], node: 'there' }), pod('new')],
      results: [result('new', 1, [X])],
      expected: { new: X },
    },
    {
      fact: 'keeps one on another node where the API contradicts the result',
      pods: [pod('far', { ips: [X], node: 'there' }), pod('moved', { ips: [Y] })],
      results: [result('moved', 1, [X])],
      expected: { far: X, moved: Y },
    },
    {
      fact: 'keeps one on another node where the pod of the result has completed',
      pods: [pod('far', { ips: [X], node: 'there' }), pod('done', { phase: 'Succeeded' })],
      results: [result('done', 1, [X])],
      expected: { far: X },
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
    const world = new World([pod('far', { ips: [X], node: 'there' })], [result('new', 1, [X])]);
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
      second: fc.nat(9),
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
    fc.assert(
      fc.property(fc.array(anyEvent), lastWords, anyResults, fc.nat(3), (events, pods, results, when) => {
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
        expect(world.seen).toEqual(fresh.seen);
        for (const name of names) {
          expect(world.known.get(nameOf({ name }))).toEqual(world.seen.get(nameOf({ name })));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('leave an address that the runtime gave to a pod here with no other pod here', () => {
    fc.assert(
      fc.property(fc.array(anyEvent), anyResults, (events, results) => {
        const world = new World();
        for (const event of events) event(world);
        world.say(results);
        for (const ip of [X, Y, X6]) {
          const owner = results
            .filter(({ addresses }) => addresses.includes(ip))
            .reduce<CniResult | undefined>(
              (a, b) =>
                a === undefined ||
                b.addedNs > a.addedNs ||
                (b.addedNs === a.addedNs && b.containerId > a.containerId)
                  ? b
                  : a,
              undefined,
            );
          if (owner === undefined) continue;
          const others = [...world.seen.values()].filter(
            ({ name, nodeName, hostNetwork, phase, addresses }) =>
              nodeName === 'here' &&
              !hostNetwork &&
              phase !== 'Succeeded' &&
              name !== owner.name &&
              addresses.some((one) => one.ip === ip),
          );
          expect(others).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });
});
