import { connect } from 'node:net';

/** Where kube-proxy listens: its health server and its metrics server. */
const ports = [10256, 10249] as const;
const connectTimeoutMs = 500;

/**
 * Which of the ports that only a running kube-proxy (or something in its place) would hold on this node answer.
 *
 * @param ownAddresses `host:port` of the servers of this process, whose answers prove nothing
 */
export async function otherProxyPorts(ownAddresses: readonly string[] = []): Promise<readonly number[]> {
  const others = ports.filter((port) => !ownAddresses.some((address) => address.endsWith(`:${port}`)));
  const answers = await Promise.all(others.map(async (port) => ({ port, answers: await isTaken(port) })));
  return answers.filter(({ answers }) => answers).map(({ port }) => port);
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: connectTimeoutMs });
    const end = (taken: boolean): void => {
      socket.destroy();
      resolve(taken);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}
