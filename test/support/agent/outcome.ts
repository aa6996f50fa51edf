import type { Failure, Greeting, Reply } from './protocol.ts';

/** The address without the `::ffff:` that an IPv4 peer of a dual-stack socket carries. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/, '');
}

export function reply(line: string, localPort: number, startedAt: number): Reply {
  const greeting = JSON.parse(line) as Greeting;
  return { kind: 'reply', ...greeting, localPort, milliseconds: since(startedAt) };
}

export function failure(kind: Failure['kind'], startedAt: number, detail = ''): Failure {
  return { kind, detail, milliseconds: since(startedAt) };
}

/** `connected`: whether the connection was there before the error. */
export function failureOf(error: NodeJS.ErrnoException, startedAt: number, connected = false): Failure {
  const code = error.code ?? error.message;
  switch (code) {
    case 'ECONNREFUSED':
      return failure('refused', startedAt, code);
    case 'ECONNRESET':
    case 'EPIPE':
      return failure(connected ? 'reset' : 'refused', startedAt, code);
    // EACCES: ICMPv6 administratively prohibited.
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EACCES':
      return failure('unreachable', startedAt, code);
    case 'ETIMEDOUT':
    // The local OUTPUT chain dropped the packet: to anyone but its sender this is silence.
    case 'EPERM':
      return failure('timeout', startedAt, code);
    default:
      return failure('failed', startedAt, code);
  }
}

function since(startedAt: number): number {
  return performance.now() - startedAt;
}
