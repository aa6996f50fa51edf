import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Resource } from '../../../test/support/fake-api-resources.ts';
import { unreachable } from '../../../test/support/in-memory-api-client.ts';
import type { Disturbance } from '../../../test/support/in-memory-watch.ts';
import { seededRandom } from '../../../test/support/random.ts';
import {
  type SourceWorld,
  sourceWorld,
  status,
  wirePod,
  wirePolicy,
  wireService,
  wireSlice,
} from '../../../test/support/source-world.ts';
import { decodeAs, type ObjectKind } from '../../api/index.ts';

type Json = Readonly<Record<string, unknown>>;

const kinds = {
  services: 'Service',
  endpointslices: 'EndpointSlice',
  networkpolicies: 'NetworkPolicy',
  pods: 'Pod',
} as const satisfies Partial<Record<Resource, ObjectKind>>;
type Plural = keyof typeof kinds;
const plurals = Object.keys(kinds) as readonly Plural[];

type Begin = Disturbance & { readonly afterLines: number };

type Step =
  | { readonly do: 'put'; readonly kind: Plural; readonly name: string; readonly variant: number }
  | { readonly do: 'remove'; readonly kind: Plural; readonly name: string }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'disturb'; readonly kind: Plural; readonly disturbance: Disturbance }
  | { readonly do: 'refuse'; readonly kind: Plural | 'all'; readonly error: Error; readonly times: number }
  | { readonly do: 'begin'; readonly kind: Plural | 'all'; readonly begin: Begin; readonly times: number }
  | { readonly do: 'compact'; readonly kind: Plural }
  | { readonly do: 'expire' };

const kind = fc.constantFrom(...plurals);
const name = fc.constantFrom('a', 'b', 'c', 'd');
const says = (object: unknown): string => `${JSON.stringify(object)}\n`;
const errorEvent = (code: number): string =>
  says({ type: 'ERROR', object: { code, reason: '', message: `${code}` } });

const disturbance: fc.Arbitrary<Disturbance> = fc.constantFrom<Disturbance>(
  { effect: 'end' },
  { effect: 'reset' },
  { effect: 'hang' },
  { effect: 'say', text: '{"type":"ADDED","object":{"metadata":{"name":"a"' },
  { effect: 'say', text: '<html>\n' },
  { effect: 'say', text: '{"type":"ADDED","object":{"metadata":{}}}\n' },
  { effect: 'say', text: errorEvent(410) },
  { effect: 'say', text: errorEvent(429) },
  { effect: 'say', text: errorEvent(500) },
);

const begin: fc.Arbitrary<Begin> = fc
  .record({ disturbance, afterLines: fc.nat(2) })
  .map(({ disturbance, afterLines }) => ({ ...disturbance, afterLines }));

const refusal = fc.constantFrom(
  unreachable(),
  status(410, 'Expired'),
  status(429, 'TooManyRequests', 5000),
  status(400, 'BadRequest'),
  status(401, 'Unauthorized'),
  status(403, 'Forbidden'),
  status(500, 'InternalError'),
  status(503, 'ServiceUnavailable'),
  new TypeError('a fault in the client'),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('put' as const), kind, name, variant: fc.nat(5) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), kind, name }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(0, 1, 900, 5000, 70_000, 200_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('disturb' as const), kind, disturbance }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('refuse' as const),
      kind: fc.oneof(kind, fc.constant('all' as const)),
      error: refusal,
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('begin' as const),
      kind: fc.oneof(kind, fc.constant('all' as const)),
      begin,
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('compact' as const), kind }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
);

/** Variants 4 and 5: not for Weir, or nothing it can read. Every object that can't be read began as one that could. */
function wireObject(kind: Plural, name: string, variant: number): Json {
  const label: Json =
    variant === 4 ? { labels: { 'service.kubernetes.io/service-proxy-name': 'other' } } : {};
  const headless = variant === 4 ? { 'service.kubernetes.io/headless': '' } : {};
  switch (kind) {
    case 'services':
      return wireService(name, `10.0.0.${variant + 1}`, label);
    case 'endpointslices':
      return wireSlice(name, `10.1.0.${variant + 1}`, {
        labels: { 'kubernetes.io/service-name': 'web', ...headless },
      });
    case 'networkpolicies':
      return wirePolicy(name, variant === 5 ? 'no port!' : 8000 + variant);
    case 'pods':
      return wirePod(name, `10.1.0.${variant + 1}`);
  }
}

/** What a plain list says, as the source should have told it. */
function listed(world: SourceWorld): ReadonlyMap<string, unknown> {
  const objects = new Map<string, unknown>();
  for (const plural of plurals) {
    for (const raw of world.api.list(plural)) {
      const result = decodeAs(kinds[plural], raw);
      if (result.outcome !== 'object') continue;
      if (result.object.kind === 'Service' && result.object.otherProxy) continue;
      objects.set(`${kinds[plural]} ${result.object.namespace}/${result.object.name}`, result.object);
    }
  }
  return objects;
}

/** What is to befall the next requests of a kind, or of all. */
class Orders<What> {
  readonly #left = new Map<Plural | 'all', { what: What; times: number }>();

  add(kind: Plural | 'all', what: What, times: number): void {
    this.#left.set(kind, { what, times });
  }

  clear(): void {
    this.#left.clear();
  }

  take(kind: Resource): What | undefined {
    for (const key of ['all', kind] as const) {
      const order = this.#left.get(key as Plural);
      if (order === undefined || order.times === 0) continue;
      order.times -= 1;
      return order.what;
    }
    return undefined;
  }
}

interface AllOrders {
  readonly refusals: Orders<Error>;
  readonly begins: Orders<Begin>;
}

async function take(world: SourceWorld, { refusals, begins }: AllOrders, step: Step): Promise<void> {
  const { api, clock } = world;
  switch (step.do) {
    case 'put':
      api.put(wireObject(step.kind, step.name, step.variant));
      return;
    case 'remove':
      api.remove(step.kind, 'shop', step.name);
      return;
    case 'wait':
      await clock.advance(step.ms);
      return;
    case 'disturb':
      for (const watch of api.watches) if (watch.resource === step.kind) watch.disturb(step.disturbance);
      return;
    case 'refuse':
      refusals.add(step.kind, step.error, step.times);
      return;
    case 'begin':
      begins.add(step.kind, step.begin, step.times);
      return;
    case 'compact':
      api.compact(step.kind);
      return;
    case 'expire':
      api.expireLists();
      return;
  }
}

test('ends with what a plain list says, whatever happened on the way', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.constantFrom('on' as const, 'refused' as const, 'ignored' as const, 'no-progress' as const),
      fc.constantFrom('current' as const, 'before-1.31' as const),
      fc.nat(),
      async (steps, watchList, release, seed) => {
        const random = seededRandom(seed);
        const world = sourceWorld({
          watchList,
          release,
          seed,
          pieceBytes: () => 1 + Math.floor(random() * 400),
        });
        const orders = { refusals: new Orders<Error>(), begins: new Orders<Begin>() };
        world.api.refuse = ({ resource }) => orders.refusals.take(resource);
        world.api.begin = ({ resource }) => orders.begins.take(resource);
        for (const name of ['a', 'b'])
          for (const plural of plurals) world.api.put(wireObject(plural, name, 0));
        await world.start();
        const removable = new Set<string>();
        for (const step of steps) {
          const before = listed(world);
          await take(world, orders, step);
          const after = listed(world);
          for (const key of before.keys()) if (!after.has(key)) removable.add(`- ${key}`);
          await world.settle();
          // Only what was gone at some time may be told as gone; a failure takes nothing away.
          const deletions = world.told.takeLog().filter((line) => line.startsWith('- '));
          expect(deletions.filter((line) => !removable.has(line))).toEqual([]);
        }
        // Five minutes in which all is well again.
        orders.refusals.clear();
        orders.begins.clear();
        await world.clock.advance(300_000);
        await world.settle();
        expect(world.startState()).toBe('resolved');
        expect(sorted(world.told.objects)).toEqual(sorted(listed(world)));
        await world.source.stop();
        expect(world.api.watches.size).toBe(0);
        expect(world.clock.sleeping).toBe(0);
      },
    ),
    { numRuns: 150 },
  );
});

function sorted(objects: ReadonlyMap<string, unknown>): readonly (readonly [string, unknown])[] {
  return [...objects].toSorted(([a], [b]) => (a < b ? -1 : 1));
}
