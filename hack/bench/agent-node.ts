import { FakeApiProcess } from '../../test/support/fake-api-process.ts';
import type { Manifest } from '../../test/support/service-manifests.ts';
import { WeirProcess } from '../../test/support/weir-process.ts';
import { BenchNetwork } from './bench-network.ts';
import { peakBytes, residentBytes } from './process-memory.ts';
import { nodesOf, type ProcessTimes, processTimes } from './process-tree.ts';

const patienceMs = 120_000;

/** A node of the bench whose objects come from an API server. */
export class AgentNode {
  readonly network: BenchNetwork;
  readonly server: FakeApiProcess;
  #weir: WeirProcess | undefined;

  static async create(name: string, objects: readonly Manifest[]): Promise<AgentNode> {
    const network = new BenchNetwork(name);
    const node = new AgentNode(network, await FakeApiProcess.start(network.node));
    await node.server.put(objects);
    return node;
  }

  private constructor(network: BenchNetwork, server: FakeApiProcess) {
    this.network = network;
    this.server = server;
  }

  /**
   * Starts Weir as a user does, `node PROGRAM run`; resolves when the last rule is in the kernel, with the milliseconds since its process
   * was started.
   */
  async start(program: string, backend: string, ...flags: readonly string[]): Promise<number> {
    const args = [
      'run',
      `--master=${this.server.url}`,
      '--node-name=node-0',
      '--cluster-cidr=10.244.0.0/14',
      '--local-pod-cidrs=10.200.0.0/24',
      `--iptables-backend=${backend}`,
      '--logging-format=json',
      ...flags,
    ];
    const start = performance.now();
    this.#weir = new WeirProcess(this.network.node, args, {}, [process.execPath, program]);
    await this.#weir.waitForLine(/"ready:/, { timeoutMs: patienceMs });
    return performance.now() - start;
  }

  /** Resident memory in MB: now, and the most since the start of the process, as the kernel counts it. */
  memory(): { readonly now: number; readonly peak: number } {
    const sum = (bytesOf: (pid: number) => number): number =>
      nodesOf(this.#pid).reduce((total, pid) => total + bytesOf(pid) / 1e6, 0);
    return { now: sum(residentBytes), peak: sum(peakBytes) };
  }

  cpu(): ProcessTimes {
    return processTimes(this.#pid);
  }

  /** A log that is made from now on: milliseconds from now to the first line of each pattern, one after the other. */
  async follow(...patterns: readonly RegExp[]): Promise<readonly number[]> {
    const weir = this.#running();
    const from = weir.lines.length;
    const start = performance.now();
    const times: number[] = [];
    for (const pattern of patterns) {
      await weir.waitForLine(pattern, { from, timeoutMs: patienceMs });
      times.push(performance.now() - start);
    }
    return times;
  }

  /** What its metrics server says. */
  metrics(): Promise<string> {
    return this.server.fetch('http://127.0.0.1:10249/metrics');
  }

  async dispose(): Promise<void> {
    await this.#weir?.kill();
    await this.server.stop();
    await this.network.dispose();
  }

  #running(): WeirProcess {
    if (this.#weir === undefined) throw new Error('weir was not started');
    return this.#weir;
  }

  get #pid(): number {
    return this.#running().pid;
  }
}
