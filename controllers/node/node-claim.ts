import { createServer, type Server } from 'node:net';

/** An abstract socket: one name for each network namespace, gone with the process that holds it. */
const socketName = '\0weir-node-agent';

/** The right to write this node's rules, held by one Weir at a time. */
export interface NodeClaim {
  release(): void;
}

/** Takes the claim; `undefined` when another Weir holds it. */
export function claimNode(): Promise<NodeClaim | undefined> {
  return new Promise((resolve, reject) => {
    const server: Server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(socketName, () => {
      server.unref();
      resolve({ release: () => server.close() });
    });
  });
}
