import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { OperationName, RequestOf, ResultOf } from './agent/protocol.ts';
import { namespacePrefix } from './in-namespace.ts';

const program = fileURLToPath(new URL('pod-agent.ts', import.meta.url));
/** Starting an agent takes a quarter of the time once its TypeScript has been compiled. */
const compileCache = fileURLToPath(new URL('../../node_modules/.cache/pod-agent', import.meta.url));

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** The test's end of the line to an agent (see `pod-agent.ts`) in one network namespace. */
export class PodAgentClient {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #exited: Promise<unknown>;
  #lastId = 0;

  /** `name` is what the agent calls itself in its answers. */
  constructor(namespace: string, name: string) {
    const [file, ...prefix] = namespacePrefix(namespace);
    this.#process = spawn(file, [...prefix, process.execPath, program, name], {
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#exited = once(this.#process, 'exit');
    this.#process.once('exit', () => this.#failAll(`the agent ${name} has ended`));
    this.#process.once('error', (error) =>
      this.#failAll(`the agent ${name} did not start: ${error.message}`),
    );
    // Writing to an agent that has ended: the exit says it all.
    this.#process.stdin.on('error', () => undefined);
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#receive(line));
  }

  /** Rejects when the operation was impossible or the agent has ended; failed connections are results. */
  async perform<Name extends OperationName>(
    operation: Name,
    request: RequestOf<Name>,
  ): Promise<ResultOf<Name>> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = await new Promise<Answer>((resolve) => {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
        return resolve({ id, error: 'the agent has ended' });
      }
      this.#waiting.set(id, resolve);
      this.#process.stdin.write(`${JSON.stringify({ id, operation, request })}\n`);
    });
    if (answer.error !== undefined) throw new Error(`${operation}: ${answer.error}`);
    return answer.result as ResultOf<Name>;
  }

  /** At once, as the kernel ends the processes of a pod that is killed. */
  async stop(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exited;
  }

  #receive(line: string): void {
    const answer = JSON.parse(line) as Answer;
    this.#waiting.get(answer.id)?.(answer);
    this.#waiting.delete(answer.id);
  }

  #failAll(error: string): void {
    for (const [id, settle] of this.#waiting) settle({ id, error });
    this.#waiting.clear();
  }
}
