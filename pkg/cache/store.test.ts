import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ApiObject, decodeObject, namespacedName, type ObjectKind } from '../api/index.ts';
import { Store } from './store.ts';

function decoded(raw: Record<string, unknown>): ApiObject {
  const result = decodeObject(raw);
  if (result.outcome !== 'object') throw new Error(`${result.outcome}: ${JSON.stringify(result)}`);
  return result.object;
}

function service(name: string, clusterIP = '10.96.0.1'): ApiObject {
  return decoded({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec: { clusterIP },
  });
}

function slice(name: string, serviceName: string, ip = '10.0.0.1'): ApiObject {
  return decoded({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': serviceName } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [ip] }],
  });
}

function pod(name: string, app = 'web'): ApiObject {
  return decoded({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels: { app } },
    spec: {},
  });
}

const policy = decoded({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'deny', namespace: 'shop' },
  spec: { podSelector: {} },
});
const node = decoded({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-a' } });
const namespace = decoded({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
const serviceCIDR = decoded({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'ServiceCIDR',
  metadata: { name: 'kubernetes' },
  spec: { cidrs: ['10.96.0.0/12'] },
});

const clean = {
  services: new Set(),
  pods: new Set(),
  policies: new Set(),
  namespaces: new Set(),
  serviceCIDRs: false,
};

describe('Store', () => {
  it.each([
    ['Service', service('web'), { services: new Set(['shop/web']) }],
    ['EndpointSlice', slice('web-abc', 'web'), { services: new Set(['shop/web']) }],
    ['Pod', pod('web-1'), { pods: new Set(['shop/web-1']) }],
    ['NetworkPolicy', policy, { policies: new Set(['shop/deny']) }],
    ['Namespace', namespace, { namespaces: new Set(['shop']) }],
    ['ServiceCIDR', serviceCIDR, { serviceCIDRs: true }],
  ])('marks the name of a %s that comes, and again when it goes', (kind, object, marks) => {
    const store = new Store();
    expect(store.upsert(object)).toBe(true);
    expect(store.takeDirty()).toEqual({ ...clean, ...marks });
    expect(store.get(kind as ObjectKind, object.namespace, object.name)).toBe(object);
    expect(store.remove(kind as ObjectKind, object.namespace, object.name)).toBe(true);
    expect(store.takeDirty()).toEqual({ ...clean, ...marks });
    expect(store.list(kind as ObjectKind)).toEqual([]);
  });

  it('marks nothing for a Node, which is looked at each time', () => {
    const store = new Store();
    expect(store.upsert(node)).toBe(true);
    expect(store.takeDirty()).toEqual(clean);
    expect(store.get('Node', '', 'node-a')).toBe(node);
    expect(store.remove('Node', '', 'node-a')).toBe(true);
    expect(store.takeDirty()).toEqual(clean);
  });

  it('marks nothing for an equal object', () => {
    const store = new Store();
    store.upsert(slice('web-abc', 'web'));
    store.takeDirty();
    expect(store.upsert(slice('web-abc', 'web'))).toBe(false);
    expect(store.takeDirty()).toEqual(clean);
  });

  it('marks nothing for the removal of an unknown object', () => {
    const store = new Store();
    expect(store.remove('Pod', 'shop', 'nobody')).toBe(false);
    expect(store.takeDirty()).toEqual(clean);
  });

  it('marks the former and the new Service when a slice moves between them', () => {
    const store = new Store();
    store.upsert(slice('x', 'blue'));
    store.takeDirty();
    store.upsert(slice('x', 'green'));
    expect(store.takeDirty().services).toEqual(new Set(['shop/blue', 'shop/green']));
    expect(store.slicesOf(namespacedName('shop', 'blue'))).toEqual([]);
    expect(store.slicesOf(namespacedName('shop', 'green'))).toEqual([slice('x', 'green')]);
  });

  it('lists by name and keeps the slices of a Service together, whatever order they came in', () => {
    const store = new Store();
    for (const name of ['c', 'a', 'b']) {
      store.upsert(service(name));
      store.upsert(slice(`web-${name}`, 'web'));
    }
    store.upsert(slice('other', 'db'));
    expect(store.list('Service').map((object) => object.name)).toEqual(['a', 'b', 'c']);
    const names = store.slicesOf(namespacedName('shop', 'web')).map((object) => object.name);
    expect(names).toEqual(['web-a', 'web-b', 'web-c']);
  });

  it('does not touch names it has given away', () => {
    const store = new Store();
    store.upsert(service('web'));
    const taken = store.takeDirty();
    store.upsert(service('db'));
    expect(taken.services).toEqual(new Set(['shop/web']));
  });
});

type Step =
  | { readonly act: 'put'; readonly object: ApiObject }
  | { readonly act: 'remove'; readonly kind: ObjectKind; readonly name: string }
  | { readonly act: 'look' };

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc
    .record({ name: fc.constantFrom('a', 'b', 'c'), ip: fc.constantFrom('10.96.0.1', '10.96.0.2') })
    .map(({ name, ip }): Step => ({ act: 'put', object: service(name, ip) })),
  fc
    .record({
      name: fc.constantFrom('s1', 's2', 's3'),
      of: fc.constantFrom('a', 'b', 'c'),
      ip: fc.constantFrom('10.0.0.1', '10.0.0.2'),
    })
    .map(({ name, of, ip }): Step => ({ act: 'put', object: slice(name, of, ip) })),
  fc
    .record({ name: fc.constantFrom('p1', 'p2'), app: fc.constantFrom('x', 'y') })
    .map(({ name, app }): Step => ({ act: 'put', object: pod(name, app) })),
  fc
    .record({
      kind: fc.constantFrom<ObjectKind>('Service', 'EndpointSlice', 'Pod'),
      name: fc.constantFrom('a', 'b', 's1', 's2', 'p1'),
    })
    .map(({ kind, name }): Step => ({ act: 'remove', kind, name })),
  fc.constant<Step>({ act: 'look' }),
);

/** All that a reader of the store can see about the names it knows. */
function view(store: Store): ReadonlyMap<string, string> {
  const seen = new Map<string, string>();
  for (const name of ['a', 'b', 'c']) {
    const slices = store.slicesOf(namespacedName('shop', name));
    seen.set(`service shop/${name}`, JSON.stringify([store.get('Service', 'shop', name), slices]));
  }
  for (const name of ['p1', 'p2'])
    seen.set(`pod shop/${name}`, JSON.stringify(store.get('Pod', 'shop', name)));
  return seen;
}

function take(store: Store, step: Step): void {
  if (step.act === 'put') store.upsert(step.object);
  if (step.act === 'remove') store.remove(step.kind, 'shop', step.name);
}

describe('Store, in any sequence of changes', () => {
  it('marks every name whose view changed since the last look', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 40 }), (sequence) => {
        const store = new Store();
        let before = view(store);
        for (const step of [...sequence, { act: 'look' } as const]) {
          take(store, step);
          if (step.act !== 'look') continue;
          const { services, pods } = store.takeDirty();
          const marked = new Set([
            ...[...services].map((n) => `service ${n}`),
            ...[...pods].map((n) => `pod ${n}`),
          ]);
          const after = view(store);
          const changed = [...after.keys()].filter((name) => after.get(name) !== before.get(name));
          expect(changed.filter((name) => !marked.has(name))).toEqual([]);
          before = after;
        }
      }),
    );
  });

  it('ends in the state a fresh store has that only saw the last word on each object', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 40 }), fc.boolean(), (sequence, backwards) => {
        const store = new Store();
        const last = new Map<string, ApiObject>();
        for (const step of sequence) {
          take(store, step);
          if (step.act === 'put') last.set(`${step.object.kind} ${step.object.name}`, step.object);
          if (step.act === 'remove') last.delete(`${step.kind} ${step.name}`);
        }
        const fresh = new Store();
        const objects = [...last.values()];
        for (const object of backwards ? objects.toReversed() : objects) fresh.upsert(object);
        expect(view(store)).toEqual(view(fresh));
        expect(store.list('EndpointSlice')).toEqual(fresh.list('EndpointSlice'));
      }),
    );
  });
});
