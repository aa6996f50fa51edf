import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type NamespacedName, namespacedName } from '../../pkg/api/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { NodePortAddresses } from '../../pkg/service/decide/index.ts';
import { ask } from '../../test/support/http-answer.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { ServiceHealth } from './service-health.ts';

const web = namespacedName('shop', 'web');
const api = namespacedName('shop', 'api');
const everywhere: NodePortAddresses = { kind: 'all', exceptLoopback: true };

let isProxyHealthy: boolean;
let failures: string[];
let log: RecordedLog;
let open: ServiceHealth[];
let holders: Server[];

beforeEach(() => {
  isProxyHealthy = true;
  failures = [];
  log = recordedLog();
  open = [];
  holders = [];
});

afterEach(async () => {
  await Promise.all(open.map((one) => one.stop()));
  for (const holder of holders) holder.close();
});

function serviceHealth(
  addresses: NodePortAddresses | (() => NodePortAddresses) = everywhere,
  family: Family = 'IPv4',
): ServiceHealth {
  const made = new ServiceHealth({
    family,
    addresses: () => (typeof addresses === 'function' ? addresses() : addresses),
    isProxyHealthy: () => isProxyHealthy,
    log,
    onBindFailure: (service, error) => failures.push(`${service}: ${(error as Error).message}`),
  });
  open.push(made);
  return made;
}

async function hold(
  port = 0,
  host = '127.0.0.1',
): Promise<{ readonly port: number; readonly release: () => Promise<void> }> {
  const server = createServer((socket) => socket.destroy());
  holders.push(server);
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const release = async (): Promise<void> => {
    server.close();
    await once(server, 'close');
  };
  return { port: typeof address === 'object' && address !== null ? address.port : 0, release };
}

/** A port that nobody uses, most likely also a moment later. */
async function freePort(): Promise<number> {
  const { port, release } = await hold();
  await release();
  return port;
}

const ports = (...entries: readonly (readonly [NamespacedName, number, number])[]) =>
  new Map(entries.map(([service, port, localEndpoints]) => [service, { port, localEndpoints }]));

const refused = { code: 'ECONNREFUSED' };

test('answers for any path, with body and headers as kube-proxy', async () => {
  const port = await freePort();
  await serviceHealth().sync(ports([web, port, 2]));
  const body = `{
	"service": {
		"namespace": "shop",
		"name": "web"
	},
	"localEndpoints": 2,
	"serviceProxyHealthy": true
}`;
  for (const path of ['/', '/healthz', '/any/thing?x']) {
    expect(await ask(port, path)).toEqual({
      status: 200,
      headers: {
        'content-type': 'application/json',
        'x-content-type-options': 'nosniff',
        'x-load-balancing-endpoint-weight': '2',
        'content-length': String(body.length),
      },
      body,
    });
  }
});

test('503 without an endpoint here, and while the rules do not keep up', async () => {
  const port = await freePort();
  const health = serviceHealth();
  await health.sync(ports([web, port, 0]));
  const empty = await ask(port, '/');
  expect([empty.status, empty.headers['x-load-balancing-endpoint-weight']]).toEqual([503, '0']);
  expect(empty.body).toContain('"localEndpoints": 0');
  await health.sync(ports([web, port, 1]));
  expect((await ask(port, '/')).status).toBe(200);
  isProxyHealthy = false;
  const stuck = await ask(port, '/');
  expect([stuck.status, stuck.headers['x-load-balancing-endpoint-weight']]).toEqual([503, '1']);
  expect(stuck.body).toContain('"serviceProxyHealthy": false');
});

test('opens, moves and closes ports as Services change', async () => {
  const [first, second] = [await freePort(), await freePort()];
  const health = serviceHealth();
  await health.sync(ports([web, first, 1]));
  await health.sync(ports([web, second, 1]));
  await expect(ask(first, '/')).rejects.toMatchObject(refused);
  expect((await ask(second, '/')).status).toBe(200);
  // One takes over the port of the other.
  await health.sync(ports([api, second, 3], [web, first, 1]));
  expect((await ask(second, '/')).body).toContain('"name": "api"');
  expect((await ask(first, '/')).body).toContain('"name": "web"');
  await health.sync(ports());
  for (const port of [first, second]) await expect(ask(port, '/')).rejects.toMatchObject(refused);
});

test('a port that is taken is told once, and opened as soon as it can be', async () => {
  const { port, release } = await hold();
  const free = await freePort();
  const health = serviceHealth();
  const wanted = ports([api, free, 1], [web, port, 1]);
  await health.sync(wanted);
  await health.sync(wanted);
  expect(failures).toEqual([`shop/web: can not listen on 0.0.0.0:${port}: another program listens there`]);
  expect(log.lines).toEqual([
    'ERROR no health check for shop/web, so its load balancer takes this node for dead',
  ]);
  expect((await ask(free, '/')).status).toBe(200);
  await release();
  await health.sync(wanted);
  expect((await ask(port, '/')).status).toBe(200);
});

test('one address that is taken closes all of the Service', async () => {
  const { port } = await hold(0, '127.0.0.2');
  const health = serviceHealth({ kind: 'some', addresses: ['127.0.0.1', '127.0.0.2'] });
  await health.sync(ports([web, port, 1]));
  await expect(ask(port, '/', '127.0.0.1')).rejects.toMatchObject(refused);
  expect(failures).toEqual([`shop/web: can not listen on 127.0.0.2:${port}: another program listens there`]);
});

test('listens only where node ports answer', async () => {
  const port = await freePort();
  await serviceHealth({ kind: 'some', addresses: ['127.0.0.2', '127.0.0.3'] }).sync(ports([web, port, 1]));
  for (const host of ['127.0.0.2', '127.0.0.3']) expect((await ask(port, '/', host)).status).toBe(200);
  await expect(ask(port, '/', '127.0.0.1')).rejects.toMatchObject(refused);
});

test('follows the addresses on which node ports answer', async () => {
  const port = await freePort();
  let addresses = ['127.0.0.2', '127.0.0.3'];
  const health = serviceHealth(() => ({ kind: 'some', addresses }));
  const wanted = ports([web, port, 1]);
  await health.sync(wanted);
  addresses = ['127.0.0.3', '127.0.0.4'];
  await health.sync(wanted);
  for (const host of ['127.0.0.3', '127.0.0.4']) expect((await ask(port, '/', host)).status).toBe(200);
  await expect(ask(port, '/', '127.0.0.2')).rejects.toMatchObject(refused);
  addresses = [];
  await health.sync(wanted);
  for (const host of ['127.0.0.3', '127.0.0.4'])
    await expect(ask(port, '/', host)).rejects.toMatchObject(refused);
  expect(failures).toEqual([]);
});

test('an address that comes later and is taken closes all of the Service', async () => {
  const { port, release } = await hold(0, '127.0.0.3');
  let addresses = ['127.0.0.2'];
  const health = serviceHealth(() => ({ kind: 'some', addresses }));
  const wanted = ports([web, port, 1]);
  await health.sync(wanted);
  expect((await ask(port, '/', '127.0.0.2')).status).toBe(200);
  addresses = ['127.0.0.2', '127.0.0.3'];
  await health.sync(wanted);
  await expect(ask(port, '/', '127.0.0.2')).rejects.toMatchObject(refused);
  expect(failures).toHaveLength(1);
  await release();
  await health.sync(wanted);
  for (const host of addresses) expect((await ask(port, '/', host)).status).toBe(200);
});

test('an address that nobody can listen on does not stand in the way of the others', async () => {
  const port = await freePort();
  // Of TEST-NET-1: on no machine.
  const health = serviceHealth({ kind: 'some', addresses: ['127.0.0.2', '192.0.2.77'] });
  await health.sync(ports([web, port, 1]));
  expect((await ask(port, '/', '127.0.0.2')).status).toBe(200);
  expect([...failures, ...log.lines]).toEqual([]);
});

test('each family answers for its own endpoints on the same port', async () => {
  const port = await freePort();
  await serviceHealth(everywhere, 'IPv6').sync(ports([web, port, 0]));
  await serviceHealth(everywhere, 'IPv4').sync(ports([web, port, 4]));
  expect(failures).toEqual([]);
  expect((await ask(port, '/', '127.0.0.1')).status).toBe(200);
  expect((await ask(port, '/', '::1')).status).toBe(503);
});

test('syncs that overlap end with what the last one wants', async () => {
  const [first, second] = [await freePort(), await freePort()];
  const health = serviceHealth();
  await Promise.all([
    health.sync(ports([web, first, 1])),
    health.sync(ports([web, second, 1])),
    health.sync(ports()),
  ]);
  for (const port of [first, second]) await expect(ask(port, '/')).rejects.toMatchObject(refused);
});
