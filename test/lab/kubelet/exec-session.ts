import { spawn } from 'node:child_process';
import type { WebSocketConnection } from './websocket.ts';

/** The first byte of each message says which stream it belongs to; `v5.channel.k8s.io`. */
const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const;
export const execProtocol = 'v5.channel.k8s.io';

/** Runs a command whose streams are the connection's, and ends with the status that says how it ended. */
export function runExecSession(
  connection: WebSocketConnection,
  words: readonly string[],
  wantsStdin: boolean,
): void {
  const [file = '', ...args] = words;
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdout.on('data', (data: Buffer) => connection.send(Buffer.from([channels.stdout]), data));
  child.stderr.on('data', (data: Buffer) => connection.send(Buffer.from([channels.stderr]), data));
  // The command may end without having read all of it.
  child.stdin.on('error', () => {});
  if (!wantsStdin) child.stdin.end();
  connection.onMessage = (message) => {
    const channel = message[0];
    if (channel === channels.stdin) child.stdin.write(message.subarray(1));
    if (channel === channels.close && message[1] === channels.stdin) child.stdin.end();
  };
  connection.onClose = () => child.kill('SIGKILL');
  const end = (status: object): void => {
    connection.send(Buffer.from([channels.status]), Buffer.from(JSON.stringify(status)));
    connection.close();
  };
  child.once('error', (error) => end(failure(error.message)));
  child.once('close', (code) => end(execStatus(code ?? 137)));
}

/** A Status object, from which clients take the exit code. */
export function execStatus(exitCode: number): object {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    details: { causes: [{ reason: 'ExitCode', message: `${exitCode}` }] },
  };
}

function failure(message: string): object {
  return { metadata: {}, status: 'Failure', reason: 'InternalError', message, code: 500 };
}
