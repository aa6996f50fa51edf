import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeApiServer } from '../support/fake-api-server.ts';
import { wire } from '../support/wire-objects.ts';

interface Answer {
  readonly kind: string;
  readonly code?: number;
  readonly metadata: { readonly continue?: string; readonly resourceVersion: string };
  readonly items: readonly { readonly metadata: { readonly name: string } }[];
}

let server: FakeApiServer;
beforeEach(async () => {
  server = await new FakeApiServer().start();
});
afterEach(() => server.close());

function service(name: string, clusterIP = '10.96.0.1', labels = {}): void {
  server.put(wire('Service', { metadata: { name, namespace: 'shop', labels }, spec: { clusterIP } }));
}

async function get(path: string): Promise<Answer> {
  return (await (await fetch(`${server.url}${path}`)).json()) as Answer;
}

async function names(query: string): Promise<readonly string[]> {
  const { items } = await get(`/api/v1/services?${query}`);
  return items.map(({ metadata }) => metadata.name);
}

/** The whole of a watch that the server ends. */
async function told(query: string): Promise<readonly string[]> {
  const text = await (
    await fetch(`${server.url}/api/v1/services?watch=true&timeoutSeconds=1&${query}`)
  ).text();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(summary);
}

function summary(line: string): string {
  interface Event {
    readonly type: string;
    readonly object: {
      readonly code?: number;
      readonly metadata: { readonly name?: string; readonly annotations?: object };
    };
  }
  const { type, object } = JSON.parse(line) as Event;
  const { name, annotations } = object.metadata;
  return `${type} ${object.code ?? name ?? Object.keys(annotations ?? {}).join(' ')}`;
}

test('selects as the selectors of a node agent ask', async () => {
  service('web');
  service('headless', 'None');
  service('mesh', '10.96.0.2', { 'service.kubernetes.io/service-proxy-name': 'other' });
  const notMesh = `labelSelector=${encodeURIComponent('!service.kubernetes.io/service-proxy-name')}`;
  const notHeadless = `fieldSelector=${encodeURIComponent('spec.clusterIP!=None')}`;
  expect(await names('')).toEqual(['headless', 'mesh', 'web']);
  expect(await names(notMesh)).toEqual(['headless', 'web']);
  expect(await names(`${notMesh}&${notHeadless}`)).toEqual(['web']);
  expect(await names('fieldSelector=metadata.name%3Dmesh')).toEqual(['mesh']);
  expect(await get('/api/v1/services?fieldSelector=spec.unknown%3Dx')).toMatchObject({ code: 400 });
});

test('pages come from one moment and expire with its history', async () => {
  for (const name of ['a', 'b', 'c']) service(name);
  const first = await get('/api/v1/services?limit=1');
  service('aa');
  const second = await get(`/api/v1/services?limit=1&continue=${first.metadata.continue}`);
  expect(second.items.map(({ metadata }) => metadata.name)).toEqual(['b']);
  expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
  server.expire('services');
  const third = await get(`/api/v1/services?limit=1&continue=${second.metadata.continue}`);
  expect(third).toMatchObject({ kind: 'Status', code: 410, reason: 'Expired' });
});

test('a watch tells what happened since, also what came into and left its selection', async () => {
  service('web');
  const { version } = server;
  service('web', 'None');
  service('web', '10.96.0.1');
  service('web', '10.96.0.1', { a: 'b' });
  server.remove('services', 'shop', 'web');
  const query = `resourceVersion=${version}&fieldSelector=${encodeURIComponent('spec.clusterIP!=None')}`;
  expect(await told(query)).toEqual(['DELETED web', 'ADDED web', 'MODIFIED web', 'DELETED web']);
});

test('a watch from a forgotten version ends with an error event', async () => {
  service('web');
  const { version } = server;
  service('web');
  server.expire('services');
  expect(await told(`resourceVersion=${version}`)).toEqual(['ERROR 410']);
});

test('a watch list marks where its initial events end, unless the server does not have it', async () => {
  service('web');
  const query = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  expect(await told(query)).toEqual(['ADDED web', 'BOOKMARK k8s.io/initial-events-end']);
  server.setWatchList('ignored');
  expect(await told(query)).toEqual(['ADDED web']);
  server.setWatchList(422);
  expect(await get(`/api/v1/services?watch=true&${query}`)).toMatchObject({ kind: 'Status', code: 422 });
});

test('refuses an event that no API server would take, and says why', async () => {
  const path = '/apis/events.k8s.io/v1/namespaces/shop/events';
  const event = {
    metadata: { name: 'web.1', namespace: 'shop' },
    eventTime: '2026-01-02T03:04:05.678000Z',
    reportingController: 'kube-proxy',
    reportingInstance: 'weir-node-a',
    action: 'Listen',
    reason: 'FailedToListen',
    regarding: { kind: 'Service', namespace: 'shop', name: 'web' },
    note: 'ä'.repeat(512),
    type: 'Warning',
  };
  const send = async (method: 'POST' | 'PATCH', body: object, name = ''): Promise<string> => {
    const response = await fetch(`${server.url}${path}${name}`, { method, body: JSON.stringify(body) });
    const { message = '' } = (await response.json()) as { readonly message?: string };
    return `${response.status} ${message}`.trim();
  };
  const problem = 'Event.events.k8s.io "web.1" is invalid:';
  expect(await send('POST', { ...event, note: `${event.note}x` })).toBe(
    `422 ${problem} note: Invalid value: "": can have at most 1024 characters`,
  );
  expect(await send('POST', { ...event, metadata: { ...event.metadata, name: 'web-.1' } })).toMatch(
    /^422 .* metadata\.name: Invalid value: "web-\.1"/,
  );
  expect(await send('POST', { ...event, regarding: { kind: 'Node', name: 'a' } })).toMatch(
    /^422 .*does not match/,
  );
  expect(await send('POST', { ...event, metadata: { name: 'web.1', namespace: 'default' } })).toMatch(
    /^400 /,
  );
  expect(await send('POST', event)).toBe('201');
  const lastObservedTime = event.eventTime;
  expect(await send('PATCH', { series: { count: 1, lastObservedTime } }, '/web.1')).toMatch(
    /^422 .*at least 2/,
  );
  expect(await send('PATCH', { note: 'other' }, '/web.1')).toMatch(/^422 .*immutable/);
  expect(await send('PATCH', { series: { count: 2, lastObservedTime } }, '/web.1')).toBe('200');
});

test.each([
  ['a match without a version', 'resourceVersionMatch=NotOlderThan', 422, 'Invalid'],
  ['an exact match of version 0', 'resourceVersion=0&resourceVersionMatch=Exact', 422, 'Invalid'],
  ['a match that is none', 'resourceVersion=5&resourceVersionMatch=Newest', 422, 'Invalid'],
  ['a list that is to stream', 'sendInitialEvents=true', 422, 'Invalid'],
  ['a continue that is no token', 'continue=nonsense', 400, 'BadRequest'],
  ['a version that is none', 'resourceVersion=x', 400, 'BadRequest'],
  ['a limit that is none', 'limit=x', 400, 'BadRequest'],
  ['a list not older than the future', 'resourceVersion=9999999', 504, 'Timeout'],
  ['a field that nobody knows', 'fieldSelector=spec.nodeName%3Dx', 400, 'BadRequest'],
  ['a stream without a match', 'watch=true&sendInitialEvents=true', 422, 'Invalid'],
  ['a watch with a match', 'watch=true&resourceVersionMatch=NotOlderThan', 422, 'Invalid'],
  ['a watch for a part of a second', 'watch=true&timeoutSeconds=0.5', 400, 'BadRequest'],
])('refuses %s, as a real one', async (_, query, code, reason) => {
  expect(await get(`/api/v1/services?${query}`)).toMatchObject({ kind: 'Status', code, reason });
});

test('a server whose etcd does not say how far it is promises streams, and does not keep it', async () => {
  server.setWatchList('no-progress');
  service('web');
  const query = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  expect(await told(query)).toEqual(['ERROR 500']);
});

test('a stream from a version that is yet to come is an error event', async () => {
  const query = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  expect(await told(`${query}&resourceVersion=9999999`)).toEqual(['ERROR 504']);
});

test('a fault may befall streams only, or all but streams, for good', async () => {
  service('web');
  const stream = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  server.fault({ effect: 'status', code: 429, streaming: true });
  for (let round = 0; round < 3; round++)
    expect(await get(`/api/v1/services?watch=true&${stream}`)).toMatchObject({ code: 429 });
  expect(await names('')).toEqual(['web']);
  server.clearFaults();
  server.fault({ effect: 'status', code: 503, streaming: false });
  expect(await told(stream)).toEqual(['ADDED web', 'BOOKMARK k8s.io/initial-events-end']);
  expect(await get('/api/v1/services')).toMatchObject({ code: 503 });
});

test('a server from before 1.31 selects Services by name and namespace only', async () => {
  const old = await new FakeApiServer({ release: 'before-1.31' }).start();
  const answer = await fetch(`${old.url}/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone`);
  expect(await answer.json()).toMatchObject({
    code: 400,
    message: '"spec.clusterIP" is not a known field selector: only "metadata.name", "metadata.namespace"',
  });
  await old.close();
});
