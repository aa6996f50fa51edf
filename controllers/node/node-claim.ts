import { createServer, type Server } from 'node:net';
import type { Part } from '../sync/part-ownership.ts';

/** Abstract sockets: one name for each network namespace, gone with the process that holds it. */
const socketNames = {
  policies: '\0weir-node-agent-policies',
  services: '\0weir-node-agent',
} as const satisfies Readonly<Record<Part, string>>;

/** The right to write some parts of this node's rules, each held by one Weir at a time. */
export interface NodeClaim {
  release(): void;
}

/** Takes the claim to these parts; `undefined` when another Weir holds one of them. */
export async function claimNode(parts: readonly Part[]): Promise<NodeClaim | undefined> {
  const held: NodeClaim[] = [];
  const release = (): void => {
    for (const one of held) one.release();
  };
  // One after the other: two that begin at once never hold one each.
  for (const part of parts) {
    const one = await claim(socketNames[part]);
    if (one === undefined) {
      release();
      return undefined;
    }
    held.push(one);
  }
  return { release };
}

function claim(socketName: string): Promise<NodeClaim | undefined> {
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
