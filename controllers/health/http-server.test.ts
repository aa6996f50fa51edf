import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { ask } from '../../test/support/http-answer.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { formatBindAddress, listenHttp, parseBindAddress, textAnswer } from './http-listener.ts';
import { type HttpServer, startHttpServer } from './http-server.ts';

let clock: FakeClock;
let log: RecordedLog;
let running: { stop(): Promise<void> }[];

beforeEach(() => {
  clock = new FakeClock();
  log = recordedLog();
  running = [];
});

afterEach(() => Promise.all(running.map((one) => one.stop())));

async function start(address: string, hardFail = false, failures: unknown[] = []): Promise<HttpServer> {
  const server = await startHttpServer({
    name: 'health',
    address,
    handler: () => textAnswer(200, 'mine'),
    clock,
    log,
    hardFail,
    onBindFailure: (error) => failures.push(error),
  });
  running.push(server);
  return server;
}

/** A port that another program holds, until it lets go. */
async function takenPort(): Promise<{ readonly port: number; readonly release: () => Promise<void> }> {
  const listener = await listenHttp({ host: '127.0.0.1', port: 0 }, () => textAnswer(200, 'other'), {
    onError: () => undefined,
  });
  running.push({ stop: () => listener.close() });
  return { port: listener.port, release: () => listener.close() };
}

test('a port that is taken is told once and tried again until it is free', async () => {
  const { port, release } = await takenPort();
  const failures: unknown[] = [];
  const server = await start(`127.0.0.1:${port}`, false, failures);
  await clock.advance(20_000);
  expect(server.port).toBeUndefined();
  expect(failures).toHaveLength(1);
  expect(log.lines.filter((line) => !line.startsWith('DEBUG'))).toEqual([
    'ERROR no health server yet; tried again every 5 s',
  ]);
  expect(String(log.fields[0]?.['error'])).toContain(
    `can not listen on 127.0.0.1:${port}: another program listens there`,
  );
  await release();
  await expect
    .poll(async () => {
      await clock.advance(5000);
      return server.port;
    })
    .toBe(port);
  expect((await ask(port, '/')).body).toBe('mine');
  expect(log.lines.at(-1)).toBe(`INFO the health server listens on 127.0.0.1:${port} now`);
});

test('a port that is taken ends the process where that was asked for', async () => {
  const { port } = await takenPort();
  const failures: unknown[] = [];
  await expect(start(`127.0.0.1:${port}`, true, failures)).rejects.toMatchObject({ code: 'WEIR_PORT_TAKEN' });
  expect(failures).toHaveLength(1);
});

test('stops while it still tries', async () => {
  const { port, release } = await takenPort();
  const server = await start(`127.0.0.1:${port}`);
  await server.stop();
  await release();
  await clock.advance(60_000);
  await expect(ask(port, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('stopping ends connections that say nothing', async () => {
  const server = await start('127.0.0.1:0');
  const { port = 0 } = server;
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  const closed = once(socket, 'close');
  await server.stop();
  await closed;
  await expect(ask(port, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('what is no address is a wrong flag', async () => {
  await expect(start('localhost:10256')).rejects.toMatchObject({ code: 'WEIR_BAD_FLAG' });
});

test('reads and writes addresses', () => {
  const good = ['0.0.0.0:10256', '127.0.0.1:0', '[::]:10256', '[fd00::1]:1'];
  expect(good.map(parseBindAddress).map((one) => one && formatBindAddress(one))).toEqual(good);
  const bad = ['10256', ':10256', '::1:10256', '[1.2.3.4]:1', '[::]', '1.2.3.4:65536', 'host:1', ''];
  expect(bad.map(parseBindAddress)).toEqual(bad.map(() => undefined));
});
