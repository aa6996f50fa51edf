import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Resource } from './fake-api-resources.ts';
import type { WatchDisturbance } from './fake-api-watch.ts';
import { namespacePrefix } from './in-namespace.ts';
import type { Manifest } from './service-manifests.ts';

const program = fileURLToPath(new URL('fake-api-child.ts', import.meta.url));
/** Objects in one message: many are quicker than one at a time, all at once would be one huge string. */
const batch = 500;

type Effect = Exclude<WatchDisturbance['effect'], 'error-event'>;

/** What the process is asked to do. */
export type FakeApiCall =
  | { readonly operation: 'url' }
  | { readonly operation: 'put'; readonly objects: readonly Manifest[] }
  | {
      readonly operation: 'remove';
      readonly resource: Resource;
      readonly namespace: string;
      readonly name: string;
    }
  | { readonly operation: 'disturb'; readonly effect: Effect; readonly resource?: Resource }
  | { readonly operation: 'expire'; readonly resource: Resource }
  | { readonly operation: 'fetch'; readonly url: string };

export interface FakeApiReply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** A fake API server in a process and a network namespace of its own: its work and its memory are not the test's. */
export class FakeApiProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;
  #url = '';

  /** Listens on the loopback interface of this namespace. */
  static async start(namespace: string): Promise<FakeApiProcess> {
    const started = new FakeApiProcess(namespace);
    started.#url = (await started.#perform({ operation: 'url' })) as string;
    return started;
  }

  private constructor(namespace: string) {
    const [file, ...prefix] = namespacePrefix(namespace);
    this.#child = spawn(file, [...prefix, process.execPath, program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message) => this.#receive(message as FakeApiReply));
    this.#child.once('exit', () => this.#failAll());
    this.#child.once('error', () => this.#failAll());
  }

  get url(): string {
    return this.#url;
  }

  /** Creates or replaces. */
  async put(objects: readonly Manifest[]): Promise<void> {
    for (let at = 0; at < objects.length; at += batch)
      await this.#perform({ operation: 'put', objects: objects.slice(at, at + batch) });
  }

  async remove(resource: Resource, namespace: string, name: string): Promise<void> {
    await this.#perform({ operation: 'remove', resource, namespace, name });
  }

  /** Something goes wrong with the watches that run now; all, unless told. */
  async disturb(effect: Effect, resource?: Resource): Promise<void> {
    await this.#perform({
      operation: 'disturb',
      effect,
      ...(resource === undefined ? {} : { resource }),
    });
  }

  /** Forgets the history of a kind: watches from before it are too old. */
  async expire(resource: Resource): Promise<void> {
    await this.#perform({ operation: 'expire', resource });
  }

  /** The body of an answer to a GET from inside the namespace. */
  async fetch(url: string): Promise<string> {
    return (await this.#perform({ operation: 'fetch', url })) as string;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  #perform(call: FakeApiCall): Promise<unknown> {
    this.#lastId += 1;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#lastId, answer);
    this.#child.send({ id: this.#lastId, call }, (error) => {
      if (error !== null) answer.reject(error);
    });
    return answer.promise;
  }

  #receive({ id, result, error }: FakeApiReply): void {
    const answer = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) answer?.resolve(result);
    else answer?.reject(new Error(error));
  }

  #failAll(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error('the fake API server has ended'));
    this.#waiting.clear();
  }
}
