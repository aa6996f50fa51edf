import { describe, expect, it } from 'vitest';
import { decoded } from '../../../test/support/wire-objects.ts';
import type { ApiObject, Pod, Service } from '../../api/index.ts';
import { deriveEndpointSlices } from './derive-endpoint-slices.ts';
import { DerivedSlices } from './derived-slices.ts';

type Json = Readonly<Record<string, unknown>>;

function service(spec: Json = {}, name = 'web'): Service {
  const body = {
    clusterIP: '10.96.0.1',
    selector: { app: 'web' },
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  };
  return decoded('Service', { metadata: { name, namespace: 'shop' }, spec: { ...body, ...spec } }).object;
}

function pod(
  name: string,
  ip: string,
  { labels = { app: 'web' }, ready = 'True', ...rest }: PodChanges = {},
): Pod {
  return decoded('Pod', {
    metadata: { name, namespace: rest.namespace ?? 'shop', labels, ...rest.metadata },
    spec: { nodeName: 'node-a', ...rest.spec },
    status: {
      phase: 'Running',
      podIPs: ip === '' ? [] : ip.split(' ').map((one) => ({ ip: one })),
      conditions: [{ type: 'Ready', status: ready }],
      ...rest.status,
    },
  }).object;
}

interface PodChanges {
  readonly namespace?: string;
  readonly labels?: Json;
  readonly ready?: string;
  readonly metadata?: Json;
  readonly spec?: Json;
  readonly status?: Json;
}

describe('deriveEndpointSlices', () => {
  it('makes what the EndpointSlice controller would', () => {
    expect(deriveEndpointSlices(service(), [pod('b', '10.0.0.2'), pod('a', '10.0.0.1')])).toEqual([
      {
        kind: 'EndpointSlice',
        namespace: 'shop',
        name: 'web-derived-IPv4-http.8080',
        serviceName: 'web',
        family: 'IPv4',
        ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
        endpoints: ['10.0.0.1', '10.0.0.2'].map((ip) => ({
          ip,
          ready: true,
          serving: true,
          terminating: false,
          nodeName: 'node-a',
          zoneHints: [],
          nodeHints: [],
        })),
      },
    ]);
  });

  it.each([
    ['a ready pod', {}, {}, { ready: true, serving: true, terminating: false }],
    ['a pod that is not ready', { ready: 'False' }, {}, { ready: false, serving: false, terminating: false }],
    [
      'a ready pod that ends',
      { metadata: { deletionTimestamp: 'now' } },
      {},
      { ready: false, serving: true, terminating: true },
    ],
    [
      'an unready pod that ends',
      { ready: 'False', metadata: { deletionTimestamp: 'now' } },
      {},
      { ready: false, serving: false, terminating: true },
    ],
    [
      'an unready pod that is published',
      { ready: 'False' },
      { publishNotReadyAddresses: true },
      { ready: true, serving: false, terminating: false },
    ],
    [
      'a published pod that ends',
      { metadata: { deletionTimestamp: 'now' } },
      { publishNotReadyAddresses: true },
      { ready: true, serving: true, terminating: true },
    ],
    [
      'a pod of the host network',
      { spec: { hostNetwork: true } },
      {},
      { ready: true, serving: true, terminating: false },
    ],
    [
      'a pending pod with an address',
      { ready: 'False', status: { phase: 'Pending' } },
      {},
      { ready: false, serving: true, terminating: false },
    ],
    ['a pod without a node', { spec: { nodeName: undefined } }, {}, { nodeName: undefined }],
  ])('takes %s', (_case, changes, spec, endpoint) => {
    const [slice] = deriveEndpointSlices(service(spec), [pod('a', '10.0.0.1', changes)]);
    const status = 'status' in changes ? { serving: false } : {};
    expect(slice?.endpoints).toEqual([expect.objectContaining({ ...endpoint, ...status })]);
  });

  it.each([
    ['a pod that succeeded', { status: { phase: 'Succeeded' } }, {}],
    ['a pod that failed', { status: { phase: 'Failed' } }, {}],
    ['a pod of the other family', {}, { clusterIP: 'fd00::1' }],
    ['a pod without the named port', {}, { ports: [{ port: 80, targetPort: 'http' }] }],
    ['a Service without selector', {}, { selector: undefined }],
    ['a headless Service', {}, { clusterIP: 'None' }],
    ['an ExternalName', {}, { type: 'ExternalName' }],
    ['a Service without cluster IP', {}, { clusterIP: '' }],
    ['a Service without ports', {}, { ports: [] }],
  ])('makes nothing of %s', (_case, changes, spec) => {
    expect(deriveEndpointSlices(service(spec), [pod('a', '10.0.0.1', changes)])).toEqual([]);
  });

  it('makes nothing of a pod without an address', () => {
    expect(deriveEndpointSlices(service(), [pod('a', '')])).toEqual([]);
  });

  it('makes a slice a family', () => {
    const dualStack = service({ clusterIPs: ['10.96.0.1', 'fd00::1'] });
    const slices = deriveEndpointSlices(dualStack, [pod('a', '10.0.0.1 fd01::1'), pod('b', 'fd01::2')]);
    expect(slices.map(({ family, endpoints }) => [family, endpoints.map(({ ip }) => ip)])).toEqual([
      ['IPv4', ['10.0.0.1']],
      ['IPv6', ['fd01::1', 'fd01::2']],
    ]);
  });

  it('resolves port names on each pod, by protocol', () => {
    const named = service({
      ports: [
        { name: 'http', port: 80, targetPort: 'web' },
        { name: 'dns', protocol: 'UDP', port: 53, targetPort: 'dns' },
      ],
    });
    const withPorts = (...ports: readonly Json[]) => ({ spec: { containers: [{ ports }] } });
    const slices = deriveEndpointSlices(named, [
      pod(
        'a',
        '10.0.0.1',
        withPorts({ name: 'web', containerPort: 8080 }, { name: 'dns', containerPort: 1053 }),
      ),
      pod(
        'b',
        '10.0.0.2',
        withPorts(
          { name: 'web', containerPort: 9090 },
          { name: 'dns', protocol: 'UDP', containerPort: 1053 },
        ),
      ),
      pod('c', '10.0.0.3', withPorts({ name: 'web', containerPort: 8080 })),
    ]);
    expect(
      slices.map(({ ports, endpoints }) => [
        ports.map(({ name, port }) => `${name} ${port}`),
        endpoints.map(({ ip }) => ip),
      ]),
    ).toEqual([
      [['http 8080'], ['10.0.0.1', '10.0.0.3']],
      [['http 9090', 'dns 1053'], ['10.0.0.2']],
    ]);
  });
});

/** `serviceName: ip ip` of every derived slice, from what was told. */
class Listener {
  readonly #derived = new DerivedSlices();
  readonly #slices = new Map<string, string>();

  told(before: ApiObject | undefined, after: ApiObject | undefined): readonly string[] {
    this.#derived.note({ before, after });
    for (const change of this.#derived.settle()) {
      if (change.before !== undefined) this.#slices.delete(change.before.name);
      if (change.after?.kind !== 'EndpointSlice') continue;
      const ips = change.after.endpoints.map(({ ip }) => ip).join(' ');
      this.#slices.set(change.after.name, `${change.after.serviceName}: ${ips}`);
    }
    return [...this.#slices.values()].toSorted();
  }
}

describe('DerivedSlices', () => {
  it('follows pods and Services as they come, change and go', () => {
    const listener = new Listener();
    const web = service();
    const a = pod('a', '10.0.0.1');
    const b = pod('b', '10.0.0.2');
    const relabelled = pod('b', '10.0.0.2', { labels: { app: 'db' } });
    const db = service({ selector: { app: 'db' } }, 'db');
    expect(listener.told(undefined, a)).toEqual([]);
    expect(listener.told(undefined, web)).toEqual(['web: 10.0.0.1']);
    expect(listener.told(undefined, b)).toEqual(['web: 10.0.0.1 10.0.0.2']);
    expect(listener.told(undefined, pod('c', '10.0.0.3', { namespace: 'other' }))).toEqual([
      'web: 10.0.0.1 10.0.0.2',
    ]);
    expect(listener.told(undefined, db)).toEqual(['web: 10.0.0.1 10.0.0.2']);
    expect(listener.told(b, relabelled)).toEqual(['db: 10.0.0.2', 'web: 10.0.0.1']);
    const narrowed = service({ selector: { app: 'web', tier: 'front' } });
    expect(listener.told(web, narrowed)).toEqual(['db: 10.0.0.2']);
    expect(listener.told(narrowed, web)).toEqual(['db: 10.0.0.2', 'web: 10.0.0.1']);
    expect(listener.told(a, undefined)).toEqual(['db: 10.0.0.2']);
    expect(listener.told(db, undefined)).toEqual([]);
  });

  it('needs every label of the selector', () => {
    const listener = new Listener();
    const narrow = service({ selector: { app: 'web', tier: 'front' } });
    listener.told(undefined, narrow);
    expect(listener.told(undefined, pod('a', '10.0.0.1', { labels: { tier: 'front' } }))).toEqual([]);
    expect(listener.told(undefined, pod('b', '10.0.0.2', { labels: { tier: 'front', app: 'web' } }))).toEqual(
      ['web: 10.0.0.2'],
    );
  });

  it('steps back while the files have slices for the Service', () => {
    const listener = new Listener();
    const slice = decoded('EndpointSlice', {
      metadata: { name: 'web-abc', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
    }).object;
    listener.told(undefined, pod('a', '10.0.0.1'));
    expect(listener.told(undefined, service())).toEqual(['web: 10.0.0.1']);
    expect(listener.told(undefined, slice)).toEqual([]);
    expect(listener.told(slice, undefined)).toEqual(['web: 10.0.0.1']);
  });

  it('tells nothing when a change makes no difference to the slices', () => {
    const derived = new DerivedSlices();
    const before = pod('a', '10.0.0.1');
    derived.note({ before: undefined, after: service() });
    derived.note({ before: undefined, after: before });
    derived.settle();
    derived.note({ before, after: pod('a', '10.0.0.1', { labels: { app: 'web', more: 'x' } }) });
    expect(derived.settle()).toEqual([]);
  });
});
