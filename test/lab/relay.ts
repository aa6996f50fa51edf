import { rm } from 'node:fs/promises';
import { connect, createServer, type NetConnectOpts, type Server } from 'node:net';

/**
 * Passes every connection on, byte for byte. Two of them in a row, with a Unix socket between, lead from the machine's
 * network into the lab's.
 */
export async function relay(listenOn: string | number, to: NetConnectOpts): Promise<Server> {
  if (typeof listenOn === 'string') await rm(listenOn, { force: true });
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect(to);
    near.pipe(far).pipe(near);
    // Either end may go at any time; the other is told, and nothing else is to be done.
    near.once('error', () => far.destroy());
    far.once('error', () => near.destroy());
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.once('listening', resolve);
  if (typeof listenOn === 'string') server.listen(listenOn);
  else server.listen(listenOn, '127.0.0.1');
  await promise;
  return server;
}
