import { open, readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { kubeletPort, labFiles } from '../settings.ts';
import type { ContainerRunner } from './container-runner.ts';
import { execProtocol, runExecSession } from './exec-session.ts';
import type { PodWorker } from './pod-worker.ts';
import { WebSocketConnection } from './websocket.ts';

export interface KubeletServerOptions {
  readonly certificate: string;
  readonly key: string;
  find(namespace: string, pod: string): PodWorker | undefined;
  all(): readonly PodWorker[];
}

/** What the API server passes on: logs and commands. It is trusted blindly; only the lab's network reaches it. */
export async function startKubeletServer(options: KubeletServerOptions): Promise<void> {
  const server = createServer({ cert: options.certificate, key: options.key }, (request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(`${String(error)}\n`);
    });
  });
  server.on('upgrade', (request, socket, head) => {
    const { url, runner } = resolve(options, request);
    const connection = new WebSocketConnection(request, socket, head, execProtocol);
    const words = url.searchParams.getAll('command');
    const wantsStdin = ['1', 'true'].includes(
      url.searchParams.get('input') ?? url.searchParams.get('stdin') ?? '',
    );
    const refuse = (): void => {
      // Such a shell says on its standard error what a runtime would say.
      const complaint = ['sh', '-c', 'echo "container not found or not running" >&2; exit 126'];
      runExecSession(connection, complaint, false);
    };
    const process = url.pathname.startsWith('/exec/') ? runner?.process : undefined;
    if (process === undefined) refuse();
    else process.execWords(words).then((full) => runExecSession(connection, full, wantsStdin), refuse);
  });
  const { promise, resolve: listening } = Promise.withResolvers<void>();
  server.listen(kubeletPort, '::', () => listening());
  await promise;
}

/** Paths are `/VERB/NAMESPACE/POD/CONTAINER`. */
function resolve(
  options: KubeletServerOptions,
  request: IncomingMessage,
): { readonly url: URL; readonly runner: ContainerRunner | undefined } {
  const url = new URL(request.url ?? '/', 'https://kubelet');
  const [, , namespace = '', pod = '', container] = url.pathname.split('/').map(decodeURIComponent);
  return { url, runner: options.find(namespace, pod)?.container(container) };
}

async function answer(
  options: KubeletServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { url, runner } = resolve(options, request);
  if (url.pathname === '/healthz') response.end('ok');
  else if (url.pathname === '/pods') {
    const items = options.all().map((worker) => worker.pod);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ apiVersion: 'v1', kind: 'PodList', metadata: {}, items }));
  } else if (url.pathname.startsWith('/containerLogs/') && runner !== undefined) {
    await sendLog(runner, url.searchParams, response);
  } else if (url.pathname === '/logs/') {
    const names = await readdir(labFiles.logs);
    response.end(`${names.toSorted().join('\n')}\n`);
  } else {
    response.writeHead(404);
    response.end('not found\n');
  }
}

async function sendLog(
  runner: ContainerRunner,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  const file = runner.logFile(query.get('previous') === 'true');
  const content = await readFile(file).catch(() => Buffer.alloc(0));
  response.setHeader('content-type', 'text/plain');
  response.write(tail(content, query.get('tailLines'), query.get('limitBytes')));
  if (query.get('follow') === 'true') {
    let offset = content.length;
    // Looks once more after the end, for what was written meanwhile.
    for (let last = false; !last && !response.destroyed; ) {
      last = runner.process === undefined;
      const handle = await open(file).catch(() => undefined);
      if (handle === undefined) break;
      const { buffer, bytesRead } = await handle.read({ position: offset });
      await handle.close();
      offset += bytesRead;
      if (bytesRead > 0) response.write(Buffer.from(buffer.subarray(0, bytesRead)));
      if (bytesRead > 0) last = false;
      if (!last) await sleep(200);
    }
  }
  response.end();
}

/** The last lines of a log, and of them no more bytes than the limit. */
export function tail(content: Buffer, lines: string | null, bytes: string | null): Buffer {
  const text = content.toString('latin1');
  const all = text.split('\n');
  // The newline at the very end closes the last line and begins none.
  const open = all.at(-1) === '' ? 1 : 0;
  const kept = lines === null ? all : all.slice(Math.max(0, all.length - open - Number(lines)));
  const chosen = Buffer.from(Number(lines ?? 1) === 0 ? '' : kept.join('\n'), 'latin1');
  return bytes === null ? chosen : chosen.subarray(0, Number(bytes));
}
