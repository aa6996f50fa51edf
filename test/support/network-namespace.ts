import type { Family } from '../../pkg/net/index.ts';
import {
  type Command,
  type CommandResult,
  type CommandRunner,
  createCommandRunner,
} from '../../pkg/runtime/index.ts';
import type {
  BurstRequest,
  BurstResult,
  ConnectRequest,
  Flow,
  ListenRequest,
  OperationName,
  Outcome,
  ProbeReport,
  ProbeRequest,
  RequestOf,
  ResultOf,
} from './agent/protocol.ts';
import { inNamespace } from './in-namespace.ts';
import { PodAgentClient } from './pod-agent-client.ts';

const commandTimeoutMs = 60_000;

/** What runs on a probe or a flow until the test ends it. */
export interface RunningProbe {
  stop(): Promise<ProbeReport>;
}

export interface OpenFlow {
  readonly outcome: Outcome;
  exchange(text: string, timeoutMs?: number): Promise<Outcome>;
  received(): Promise<number>;
  close(): Promise<void>;
}

/**
 * A pod, node or client of a lab: something with a network of its own in which commands run and connections begin and
 * end. The agent that makes connections is started with the first of them.
 */
export class NetworkNamespace {
  /** As the test knows it, and as it answers. */
  readonly name: string;
  /** A name below `/run/netns`, or the path of such a file. */
  readonly namespace: string;
  readonly addresses: readonly string[];
  /** Runs commands inside. */
  readonly runner: CommandRunner;
  #agent: PodAgentClient | undefined;

  constructor(name: string, namespace: string, addresses: readonly string[]) {
    this.name = name;
    this.namespace = namespace;
    this.addresses = addresses;
    this.runner = inNamespace(createCommandRunner(), namespace);
  }

  /** The first address of a family; throws when there is none. */
  address(family: Family): string {
    const address = this.addresses.find((address) => address.includes(':') === (family === 'IPv6'));
    if (address === undefined) throw new RangeError(`${this.name} has no ${family} address`);
    return address;
  }

  /** Runs a command to its end and keeps its output. Throws unless it exits with 0. */
  async run(
    file: string,
    args: readonly string[] = [],
    options: Partial<Command> = {},
  ): Promise<CommandResult> {
    const command = { captureOutput: true, timeoutMs: commandTimeoutMs, ...options, file, args };
    const result = await this.runner.run(command);
    if (result.exitCode !== 0) {
      const reason = result.stderr.trim() || (result.spawnError ?? `exit code ${result.exitCode}`);
      throw new Error(`${this.name}: ${file} ${args.join(' ')}: ${reason}`);
    }
    return result;
  }

  /** Starts the agent and waits for it, so that the first connection is not slower than the next. */
  async startAgent(): Promise<void> {
    await this.#perform('hello', null);
  }

  async listen(...requests: readonly ListenRequest[]): Promise<void> {
    await Promise.all(requests.map((request) => this.#perform('listen', request)));
  }

  async unlisten(request: ListenRequest): Promise<void> {
    await this.#perform('unlisten', request);
  }

  connect(request: ConnectRequest): Promise<Outcome> {
    return this.#perform('connect', request);
  }

  /** Many connections; for how they are shared out. */
  burst(request: BurstRequest): Promise<BurstResult> {
    return this.#perform('burst', request);
  }

  async startProbe(request: ProbeRequest): Promise<RunningProbe> {
    const probe = await this.#perform('startProbe', request);
    return { stop: () => this.#perform('stopProbe', probe) };
  }

  /** A TCP connection, or a UDP socket that keeps its source port. On a failed `outcome` there is nothing to close. */
  async openFlow(request: ConnectRequest): Promise<OpenFlow> {
    const { flow, outcome }: Flow = await this.#perform('openFlow', request);
    return {
      outcome,
      exchange: (text, timeoutMs) =>
        this.#perform('exchange', { flow, text, ...(timeoutMs === undefined ? {} : { timeoutMs }) }),
      received: () => this.#perform('received', flow),
      close: async () => void (await this.#perform('closeFlow', flow)),
    };
  }

  /** Sends unasked on every connection that came in on this TCP port; returns their number. */
  push(port: number, text: string): Promise<number> {
    return this.#perform('push', { port, text });
  }

  /** Ends the agent, and with it every socket of this namespace that a test opened. */
  async stopAgent(): Promise<void> {
    await this.#agent?.stop();
    this.#agent = undefined;
  }

  #perform<Name extends OperationName>(operation: Name, request: RequestOf<Name>): Promise<ResultOf<Name>> {
    this.#agent ??= new PodAgentClient(this.namespace, this.name);
    return this.#agent.perform(operation, request);
  }
}
