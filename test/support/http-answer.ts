import { request } from 'node:http';

export interface SeenAnswer {
  readonly status: number;
  /** Without those that say when and how it was sent. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const transport: ReadonlySet<string> = new Set(['date', 'connection', 'keep-alive']);

/** Asks a server on this machine; rejects with the system's error when nobody listens. */
export function ask(port: number, path: string, host = '127.0.0.1', method = 'GET'): Promise<SeenAnswer> {
  return new Promise((resolve, reject) => {
    const asking = request({ host, port, path, method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const headers = Object.entries(response.headers).filter(([name]) => !transport.has(name));
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
          body: Buffer.concat(chunks).toString(),
        });
      });
    });
    asking.on('error', reject);
    asking.end();
  });
}
