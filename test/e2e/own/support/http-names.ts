import type { NetworkNamespace } from '../../../support/network-namespace.ts';

export interface HttpRequests {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly count: number;
  readonly timeoutMs: number;
}

// A connection for each request: one that is kept would always end at the same pod.
const script = `
const { request } = await import('node:http');
const { url, headers, count, timeoutMs } = JSON.parse(process.argv[1]);
const ask = () => new Promise((resolve) => {
  const asked = request(url, { headers, agent: false, timeout: timeoutMs }, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (part) => { text += part; }).on('end', () => resolve(answer.statusCode + ' ' + text.trim()));
  });
  asked.on('timeout', () => asked.destroy(new Error('timeout')));
  asked.on('error', (error) => resolve(error.code ?? error.message));
  asked.end();
});
const answers = [];
for (let index = 0; index < count; index += 1) answers.push(await ask());
console.log(JSON.stringify(answers));
`;

/** Asks one after the other, each on a connection of its own. An answer is `200 TEXT`, a failure its code or `timeout`. */
export async function httpAnswers(
  from: NetworkNamespace,
  requests: HttpRequests,
): Promise<readonly string[]> {
  const words = ['--input-type=module', '-e', script, JSON.stringify(requests)];
  const { stdout } = await from.run(process.execPath, words);
  return JSON.parse(stdout) as readonly string[];
}
