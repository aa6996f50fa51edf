import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { ask } from '../../test/support/http-answer.ts';
import { recordedLog } from '../../test/support/recorded-log.ts';
import { parts } from '../sync/part-ownership.ts';
import { startHealthServer } from './health-server.ts';
import type { HttpServer } from './http-server.ts';
import { ProxyHealth } from './proxy-health.ts';

const json = { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' };
const wall = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

let clock: FakeClock;
let health: ProxyHealth;
let otherProxy: string | undefined;
let server: HttpServer;
let probes: string[];

beforeEach(async () => {
  clock = new FakeClock();
  probes = [];
  otherProxy = undefined;
  health = new ProxyHealth({
    parts,
    clock,
    wallClock: () => wall + clock.now(),
    syncPeriodMs: 30_000,
    standsBack: () => otherProxy,
  });
  server = await startHealthServer({
    address: '127.0.0.1:0',
    clock,
    log: recordedLog(),
    hardFail: true,
    health,
    onProbe: (path, code) => probes.push(`${path} ${code}`),
  });
});

afterEach(() => server.stop());

function updated(family: Family): void {
  for (const part of parts) health.updated(family, part);
}

async function answer(path: string, method = 'GET'): Promise<string> {
  const { status, headers, body } = await ask(server.port ?? 0, path, '127.0.0.1', method);
  // A HEAD says how long the body would have been.
  const length = method === 'HEAD' ? headers['content-length'] : String(Buffer.byteLength(body));
  expect(headers).toEqual({ ...json, 'content-length': length });
  return `${status} ${body}`;
}

const now = '2026-01-02T03:04:05.678Z';
const minuteLater = '2026-01-02T03:05:05.678Z';

test('says it is healthy before the first sync, without a status', async () => {
  expect(await answer('/healthz')).toBe(
    `200 {"lastUpdated":"${now}","currentTime":"${now}","nodeEligible":true,"healthy":true}`,
  );
  expect(await answer('/livez')).toBe(`200 {"lastUpdated":"${now}","currentTime":"${now}","healthy":true}`);
});

test('when all is well, what was last updated is right until now', async () => {
  updated('IPv4');
  await clock.advance(60_000);
  updated('IPv6');
  await clock.advance(0);
  const status = `"status":{"IPv4":{"lastUpdated":"${now}","healthy":true},"IPv6":{"lastUpdated":"${minuteLater}","healthy":true}}`;
  expect(await answer('/healthz')).toBe(
    `200 {"lastUpdated":"${minuteLater}","currentTime":"${minuteLater}","nodeEligible":true,"healthy":true,${status}}`,
  );
  expect(await answer('/livez')).toBe(
    `200 {"lastUpdated":"${minuteLater}","currentTime":"${minuteLater}","healthy":true,${status}}`,
  );
});

test('a change that waits too long fails both', async () => {
  updated('IPv4');
  health.queued('IPv4', 'services');
  await clock.advance(60_000);
  const status = `"status":{"IPv4":{"lastUpdated":"${now}","healthy":false}},"problems":["IPv4 services: not written for 60 s"]`;
  expect(await answer('/healthz')).toBe(
    `503 {"lastUpdated":"${now}","currentTime":"${minuteLater}","nodeEligible":true,"healthy":false,${status}}`,
  );
  expect(await answer('/livez')).toBe(
    `503 {"lastUpdated":"${now}","currentTime":"${minuteLater}","healthy":false,${status}}`,
  );
  expect(probes).toEqual(['healthz 503', 'livez 503']);
});

test('a node that is about to go fails /healthz, not /livez', async () => {
  updated('IPv4');
  health.setNode({ exists: true, beingDeleted: false, toBeDeletedTaint: true });
  await clock.advance(60_000);
  const status = `"status":{"IPv4":{"lastUpdated":"${now}","healthy":true}}`;
  expect(await answer('/healthz')).toBe(
    `503 {"lastUpdated":"${now}","currentTime":"${minuteLater}","nodeEligible":false,"healthy":true,${status}}`,
  );
  expect((await answer('/livez')).slice(0, 3)).toBe('200');
  expect(probes).toEqual(['healthz 503', 'livez 200']);
});

test('is ready when all is in the kernel, and as long as it is healthy', async () => {
  expect(await answer('/readyz')).toBe(
    '503 {"ready":false,"healthy":true,"problems":["the state of the cluster is not complete yet"]}',
  );
  updated('IPv4');
  expect(await answer('/readyz')).toBe('200 {"ready":true,"healthy":true}');
  health.queued('IPv4', 'policies');
  await clock.advance(60_000);
  expect(await answer('/readyz')).toBe(
    '503 {"ready":false,"healthy":false,"problems":["IPv4 policies: not written for 60 s"]}',
  );
});

test('a part that stands back fails /healthz and /readyz with the reason, not /livez', async () => {
  updated('IPv4');
  otherProxy = 'another proxy writes';
  const problems = '"problems":["services: standing back: another proxy writes"]';
  const status = (healthy: boolean): string =>
    `"status":{"IPv4":{"lastUpdated":"${now}","healthy":${healthy}}}`;
  const times = `"lastUpdated":"${now}","currentTime":"${now}"`;
  expect(await answer('/healthz')).toBe(
    `503 {${times},"nodeEligible":true,"healthy":false,${status(false)},${problems}}`,
  );
  expect(await answer('/livez')).toBe(`200 {${times},"healthy":true,${status(true)},${problems}}`);
  expect(await answer('/readyz')).toBe(`503 {"ready":false,"healthy":false,${problems}}`);
  expect(probes).toEqual(['healthz 503', 'livez 200']);
  otherProxy = undefined;
  expect((await answer('/healthz')).slice(0, 3)).toBe('200');
  expect((await answer('/readyz')).slice(0, 3)).toBe('200');
});

test('any method will do, and a query changes nothing', async () => {
  const get = await answer('/livez');
  expect(await answer('/livez?verbose=1')).toBe(get);
  expect(await answer('/livez', 'POST')).toBe(get);
  expect(await answer('/livez', 'HEAD')).toBe('200 ');
});

test('nothing else is there', async () => {
  for (const path of ['/', '/healthz/', '/metrics']) {
    expect(await ask(server.port ?? 0, path)).toEqual({
      status: 404,
      headers: {
        'content-type': 'text/plain; charset=utf-8',
        'x-content-type-options': 'nosniff',
        'content-length': '19',
      },
      body: '404 page not found\n',
    });
  }
});
