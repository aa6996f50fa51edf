import { getEventListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ApiCall, ApiRequest } from '../../pkg/source/apiserver/api-client.ts';
import {
  type ApiClientOptions,
  type ApiServerClient,
  createApiClient,
} from '../../pkg/source/apiserver/api-transport.ts';
import { kubeconfig, serviceAccountFolder, writeServiceAccount } from '../support/api-credentials.ts';
import { type Certificate, createCertificateAuthority } from '../support/certificates.ts';
import { FakeApiServer, type FakeApiServerOptions } from '../support/fake-api-server.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { wire } from '../support/wire-objects.ts';

const list: ApiRequest = { verb: 'LIST', path: '/api/v1/services?limit=500' };
const watch: ApiRequest = { verb: 'WATCH', path: '/api/v1/services?watch=true&resourceVersion=1000' };
const authority = createCertificateAuthority('cluster');
const tls = authority.issue(['127.0.0.1', '::1']);
const hasIpv6 = (networkInterfaces()['lo'] ?? []).some(({ address }) => address === '::1');

const life = new AbortController();
const { signal } = life;
const ends: (() => Promise<unknown>)[] = [];
const calls: ApiCall[] = [];
let folder = '';
let clock = new FakeClock();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-transport-'));
  clock = new FakeClock();
  calls.length = 0;
});
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
  await rm(folder, { recursive: true });
});

async function startServer(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
  const server = await new FakeApiServer(options).start();
  ends.push(() => server.close());
  server.put(wire('Service'));
  return server;
}

async function createClient(options: Partial<ApiClientOptions>): Promise<ApiServerClient> {
  const onCall = (call: ApiCall): void => void calls.push(call);
  const client = await createApiClient({ env: {}, clock, userAgent: 'weir/1.2.3', onCall, ...options });
  ends.push(() => client.close());
  return client;
}

/** A client of a server that speaks TLS, as in a pod. */
async function createPodClient(server: FakeApiServer, ca = authority.cert): Promise<ApiServerClient> {
  await writeServiceAccount(folder, { token: 'first', ca });
  const { hostname, port } = new URL(server.url);
  const host = hostname.replaceAll(/[[\]]/g, '');
  const env = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port };
  return createClient({ env, serviceAccountRoot: folder });
}

async function createPlainClient(server: FakeApiServer): Promise<ApiServerClient> {
  return createClient({ master: server.url });
}

function tokensShown(server: FakeApiServer): readonly unknown[] {
  return server.requests.map(({ headers }) => headers.authorization);
}

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
}

/** What a call fails with, waited for from now on: nothing of it stays unhandled meanwhile. */
function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => 'no failure',
    (error: unknown) => error,
  );
}

describe('a client', () => {
  test('lists twenty times over one connection', async () => {
    const server = await startServer({ tls });
    const client = await createPodClient(server);
    for (let count = 0; count < 20; count += 1) {
      expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList', items: [{}] });
    }
    expect(server.accepted).toBe(1);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('says who it is and asks for plain JSON', async () => {
    const server = await startServer({ tls });
    await (await createPodClient(server)).json(list, signal);
    const { headers } = server.requests[0] ?? {};
    expect(headers).toMatchObject({
      accept: 'application/json',
      authorization: 'Bearer first',
      'user-agent': 'weir/1.2.3',
    });
    expect(headers).not.toHaveProperty('accept-encoding');
  });

  test('gives a watch a connection of its own, so that a list beside it gets its answer', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    const lines: string[] = [];
    const { chunks } = await client.open(watch, signal);
    for await (const chunk of chunks) {
      lines.push(Buffer.from(chunk).toString());
      expect(await client.json(list, signal)).toMatchObject({ items: [{}] });
      break;
    }
    expect(lines[0]).toContain('"type":"ADDED"');
    expect(server.accepted).toBe(2);
  });

  test('closes the connection of a body that nobody reads to its end', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    for await (const _ of (await client.open(watch, signal)).chunks) break;
    await vi.waitFor(() => expect(server.connected).toBe(0));
  });

  test('posts and patches JSON', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    const path = '/api/v1/namespaces/shop/services';
    const body = { metadata: { name: 'new' }, spec: { clusterIP: '10.96.0.9' } };
    await client.json({ verb: 'POST', path, body }, signal);
    await client.json({ verb: 'PATCH', path: `${path}/new`, body: { spec: { type: 'NodePort' } } }, signal);
    const spec = { clusterIP: '10.96.0.9', type: 'NodePort' };
    expect(server.get('services', 'shop', 'new')).toMatchObject({ spec });
    expect(server.requests.map(({ headers }) => headers['content-type'])).toEqual([
      'application/json',
      'application/merge-patch+json',
    ]);
  });

  test('tells of every answer and every failure to get one', async () => {
    const server = await startServer();
    server.deny('pods');
    const client = await createPlainClient(server);
    await client.json(list, signal);
    await expect(client.json({ verb: 'LIST', path: '/api/v1/pods' }, signal)).rejects.toThrow('403');
    await server.refuse();
    await expect(client.json({ verb: 'GET', path: '/version' }, signal)).rejects.toThrow('ECONN');
    const { host } = new URL(server.url);
    expect(calls).toEqual([
      { verb: 'LIST', host, code: '200', durationMs: 0 },
      { verb: 'LIST', host, code: '403', durationMs: 0 },
      { verb: 'GET', host, code: '<error>', durationMs: 0 },
    ]);
  });

  test('goes on when the server is back on its port', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    await client.json(list, signal);
    await server.refuse();
    await expect(client.json(list, signal)).rejects.toMatchObject({ code: 'WEIR_API_UNREACHABLE' });
    await server.start();
    expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList' });
  });
});

describe('a server', () => {
  test('may be reached at a path', async () => {
    const server = await startServer();
    const client = await createClient({ master: `${server.url}/clusters/a/` });
    await expect(client.json(list, signal)).rejects.toMatchObject({ code: 404, reason: '' });
    expect(server.requests[0]?.path).toBe('/clusters/a/api/v1/services');
  });

  test('may be plain http and named without a scheme', async () => {
    const server = await startServer();
    const client = await createClient({ master: `127.0.0.1:${server.port}` });
    expect(client.server).toBe(server.url);
    expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList' });
  });

  test.skipIf(!hasIpv6)('may have an IPv6 address, which variables give without brackets', async () => {
    const server = await startServer({ tls, address: '::1' });
    const client = await createPodClient(server);
    expect(client.server).toBe(`https://[::1]:${server.port}`);
    expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList' });
  });

  test('may ask for a client certificate', async () => {
    const server = await startServer({ tls: { ...tls, clientCa: authority.cert } });
    const own = authority.issue(['system:node']);
    const text = kubeconfig(
      { server: server.url, 'certificate-authority-data': btoa(authority.cert) },
      { 'client-certificate-data': btoa(own.cert), 'client-key-data': btoa(own.key) },
    );
    await writeFile(join(folder, 'kubeconfig'), text);
    const client = await createClient({ kubeconfig: join(folder, 'kubeconfig') });
    await client.json(list, signal);
    expect(server.requests[0]?.clientName).toBe('system:node');
  });
});

describe('a token', () => {
  test('is read again after a minute', async () => {
    const server = await startServer({ tls });
    const client = await createPodClient(server);
    await client.json(list, signal);
    await writeServiceAccount(folder, { token: 'second\n' });
    await clock.advance(59_000);
    await client.json(list, signal);
    await clock.advance(2000);
    await client.json(list, signal);
    expect(tokensShown(server)).toEqual(['Bearer first', 'Bearer first', 'Bearer second']);
    expect(server.accepted).toBe(1);
  });

  test('is read again at once when the server does not accept it, by all who were refused together', async () => {
    const server = await startServer({ tls, token: 'first' });
    const client = await createPodClient(server);
    await client.json(list, signal);
    await writeServiceAccount(folder, { token: 'second' });
    server.acceptToken('second');
    const answers = await Promise.all([1, 2, 3].map(() => client.json(list, signal)));
    expect(answers).toHaveLength(3);
    const shown = tokensShown(server).slice(1);
    expect(shown.filter((token) => token === 'Bearer second')).toHaveLength(3);
    expect(shown.length).toBeLessThanOrEqual(6);
  });

  test('that is refused is not shown twice', async () => {
    const server = await startServer({ tls, token: 'other' });
    const client = await createPodClient(server);
    await expect(client.json(list, signal)).rejects.toMatchObject({ code: 401, reason: 'Unauthorized' });
    expect(tokensShown(server)).toEqual(['Bearer first']);
  });

  test('is asked for once a request, even when the next one is refused, too', async () => {
    const server = await startServer({ tls, token: 'other' });
    const client = await createPodClient(server);
    await writeServiceAccount(folder, { token: 'second' });
    await expect(client.json(list, signal)).rejects.toMatchObject({ code: 401 });
    expect(tokensShown(server)).toEqual(['Bearer first', 'Bearer second']);
  });

  test('that can not be read any more stays in use, and the refusal says so', async () => {
    const server = await startServer({ tls, token: 'first' });
    const client = await createPodClient(server);
    await rm(join(folder, serviceAccountFolder, 'token'));
    await clock.advance(61_000);
    expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList' });
    server.acceptToken('second');
    await expect(client.json(list, signal)).rejects.toThrow(/401.*service account is missing/);
  });
});

describe('a new certificate authority', () => {
  const next = createCertificateAuthority('next');
  const nextTls = next.issue(['127.0.0.1']);

  /** The server comes back with another certificate, and no connection is left from before. */
  async function restart(server: FakeApiServer, client: ApiServerClient, certificate: Certificate) {
    server.setCertificate(certificate);
    await server.refuse();
    await expect(client.json(list, signal)).rejects.toMatchObject({ code: 'WEIR_API_UNREACHABLE' });
    await server.start();
  }

  test('is trusted once its file is there, and the old one no more', async () => {
    const server = await startServer({ tls });
    const client = await createPodClient(server);
    await client.json(list, signal);
    await restart(server, client, nextTls);
    await expect(client.json(list, signal)).rejects.toThrow(/unable to (verify|get)|self-signed/);
    await writeServiceAccount(folder, { ca: next.cert });
    expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList' });
    await restart(server, client, tls);
    await expect(client.json(list, signal)).rejects.toThrow(/unable to (verify|get)|self-signed/);
  });

  test('moves requests to a new connection; a watch on the old one runs to its end', async () => {
    const server = await startServer({ tls });
    const client = await createPodClient(server);
    const { chunks } = await client.open(watch, signal);
    const events = chunks[Symbol.asyncIterator]();
    await events.next();
    await client.json(list, signal);
    await writeServiceAccount(folder, { ca: `${authority.cert}${next.cert}` });
    await clock.advance(61_000);
    await client.json(list, signal);
    expect(server.accepted).toBe(3);
    await vi.waitFor(() => expect(server.connected).toBe(2));
    server.put(wire('Service'));
    expect(Buffer.from((await events.next()).value as Uint8Array).toString()).toContain('MODIFIED');
    server.disturbWatches({ effect: 'end' });
    expect(await events.next()).toMatchObject({ done: true });
    await vi.waitFor(() => expect(server.connected).toBe(1));
  });

  test('leaves nothing behind when the client closes while a watch still runs on the old connection', async () => {
    const server = await startServer({ tls });
    const client = await createPodClient(server);
    const { chunks } = await client.open(watch, signal);
    const events = chunks[Symbol.asyncIterator]();
    await events.next();
    await writeServiceAccount(folder, { ca: `${authority.cert}${next.cert}` });
    await clock.advance(61_000);
    await client.json(list, signal);
    await client.close();
    await expect(events.next()).rejects.toMatchObject({ code: 'WEIR_API_UNREACHABLE' });
    await vi.waitFor(() => expect(server.connected).toBe(0));
  });

  test('that is half written is not used', async () => {
    const server = await startServer({ tls });
    const client = await createPodClient(server);
    await writeServiceAccount(folder, { ca: '' });
    await clock.advance(61_000);
    expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList' });
  });
});

describe('a refusal', () => {
  test('says why, and how long to wait', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    server.fault({ effect: 'status', code: 429, retryAfter: '7' });
    await expect(client.open(watch, signal)).rejects.toMatchObject({
      code: 429,
      reason: 'TooManyRequests',
      retryAfterMs: 7000,
    });
    expect(server.accepted).toBe(1);
  });

  test('that is no Status object is quoted', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    await expect(client.json({ verb: 'LIST', path: '/apis/none/v1/pods' }, signal)).rejects.toMatchObject({
      code: 404,
      message: expect.stringContaining('404 page not found') as string,
    });
  });
});

describe('no usable answer', () => {
  const cases = [
    ['a reset instead of an answer', { effect: 'no-answer' }],
    ['a reset in the middle', { effect: 'reset', afterBytes: 40 }],
    ['half an answer', { effect: 'cut', afterBytes: 40 }],
    ['no JSON', { effect: 'garbage' }],
    ['no headers in time', { effect: 'stall' }],
    ['silence in the middle', { effect: 'hang', afterBytes: 40 }],
  ] as const;
  test.each(cases)('%s', async (_, fault) => {
    const server = await startServer();
    const client = await createPlainClient(server);
    server.fault({ ...fault, times: 1 });
    const hasty = { ...list, headersTimeoutMs: 200, idleTimeoutMs: 200 };
    await expect(client.json(hasty, signal)).rejects.toMatchObject({
      code: 'WEIR_API_UNREACHABLE',
      message: expect.stringContaining(server.url) as string,
    });
    expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList' });
  });

  test('a slow answer is an answer', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    server.fault({ effect: 'slow', bytes: 20, everyMs: 5 });
    expect(await client.json({ ...list, idleTimeoutMs: 2000 }, signal)).toMatchObject({ items: [{}] });
  });
});

describe('an abort', () => {
  const reason = new Error('no longer wanted');

  test('before the call asks for nothing', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    await expect(client.json(list, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(server.accepted).toBe(0);
  });

  test('while connecting does not wait for the connection', async () => {
    const server = await startServer({ tls });
    server.fallSilent();
    const client = await createPodClient(server);
    const abort = new AbortController();
    const before = openSockets();
    const answer = failureOf(client.json(list, abort.signal));
    await vi.waitFor(() => expect(server.connected).toBe(1));
    abort.abort(reason);
    expect(await answer).toBe(reason);
    await client.close();
    // The server's end stays: nobody reads there that the client has gone.
    await vi.waitFor(() => expect(openSockets()).toBe(before + 1));
  });

  test('while waiting for the answer ends the connection', async () => {
    const server = await startServer();
    server.fault({ effect: 'stall' });
    const client = await createPlainClient(server);
    const abort = new AbortController();
    const answer = failureOf(client.open(watch, abort.signal));
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    abort.abort(reason);
    expect(await answer).toBe(reason);
    await vi.waitFor(() => expect(server.connected).toBe(0));
  });

  test('in the middle of the body ends the connection', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    const abort = new AbortController();
    const { chunks } = await client.open(watch, abort.signal);
    const events = chunks[Symbol.asyncIterator]();
    await events.next();
    const next = failureOf(events.next());
    abort.abort(reason);
    expect(await next).toBe(reason);
    await vi.waitFor(() => expect(server.connected).toBe(0));
  });

  test('of a body that nobody reads yet does no harm', async () => {
    const server = await startServer();
    const client = await createPlainClient(server);
    const abort = new AbortController();
    const { chunks } = await client.open(watch, abort.signal);
    abort.abort(reason);
    await vi.waitFor(() => expect(server.connected).toBe(0));
    await expect(chunks[Symbol.asyncIterator]().next()).rejects.toBe(reason);
  });
});

test('a server that falls silent while connecting is given up, and found again', async () => {
  const server = await startServer({ tls });
  const client = await createPodClient(server);
  server.fallSilent();
  const hasty = { ...list, headersTimeoutMs: 200 };
  const answer = failureOf(client.json(hasty, signal));
  await vi.waitFor(() => expect(server.connected).toBe(1));
  server.speak();
  expect(await answer).toMatchObject({ code: 'WEIR_API_UNREACHABLE' });
  expect(await client.json(list, signal)).toMatchObject({ kind: 'ServiceList' });
});

test('closing the client ends everything that runs', async () => {
  const server = await startServer();
  const client = await createPlainClient(server);
  const { chunks } = await client.open(watch, signal);
  const events = chunks[Symbol.asyncIterator]();
  await events.next();
  const next = failureOf(events.next());
  await client.close();
  expect(await next).toMatchObject({ code: 'WEIR_API_UNREACHABLE' });
  await vi.waitFor(() => expect(server.connected).toBe(0));
});
