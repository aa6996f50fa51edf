import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container, ProbeAction } from './pod.ts';

export interface ProbeTarget {
  readonly container: Container;
  readonly address: string;
  /** Runs a command in the container; true when it exits with 0. */
  exec(words: readonly string[], timeoutMs: number): Promise<boolean>;
}

/** Performs a probe or a hook once. Whatever goes wrong is a no. */
export async function perform(action: ProbeAction, target: ProbeTarget, timeoutMs: number): Promise<boolean> {
  const { httpGet, tcpSocket, exec } = action;
  if (exec !== undefined) return target.exec(exec.command ?? [], timeoutMs);
  if (httpGet !== undefined) return answers(httpGet, target, timeoutMs);
  if (tcpSocket !== undefined) {
    return accepts(tcpSocket.host ?? target.address, portOf(target.container, tcpSocket.port), timeoutMs);
  }
  if (action.sleep !== undefined) await sleep(action.sleep.seconds * 1000);
  return true;
}

/** Ports may be called by the container's name for them. */
export function portOf(container: Container, port: number | string): number {
  if (typeof port === 'number') return port;
  return container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port);
}

function answers(
  get: NonNullable<ProbeAction['httpGet']>,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<boolean> {
  const request = get.scheme === 'HTTPS' ? httpsRequest : httpRequest;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const call = request({
    host: get.host === undefined || get.host === '' ? target.address : get.host,
    port: portOf(target.container, get.port),
    path: get.path ?? '/',
    headers: Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name, value])),
    agent: false,
    rejectUnauthorized: false,
    signal: AbortSignal.timeout(timeoutMs),
  });
  call.once('error', () => resolve(false));
  call.once('response', (response) => {
    response.resume();
    const status = response.statusCode ?? 0;
    resolve(status >= 200 && status < 400);
  });
  call.end();
  return promise;
}

function accepts(host: string, port: number, timeoutMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port });
  const end = (result: boolean): void => {
    socket.destroy();
    resolve(result);
  };
  socket.setTimeout(timeoutMs, () => end(false));
  socket.once('connect', () => end(true));
  socket.once('error', () => end(false));
  return promise;
}
