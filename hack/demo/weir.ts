import type { Backend } from '../../pkg/apply/index.ts';
import { systemClock } from '../../pkg/runtime/index.ts';
import { runWeir, WeirProcess } from '../../test/support/weir-process.ts';
import { type Cluster, nodeName } from './cluster.ts';
import { expect } from './expect.ts';

const clusterCidrs = '10.244.0.0/16,fd00:10:244::/48';
const logPatienceMs = 5000;
const readyLine = /ready: every Service is in the kernel/;

/** What `weir plan --output json` tells, as far as the demo looks at it. */
export interface PlanReport {
  readonly families: readonly {
    /** `owner`: the Service port that a chain is for, as `namespace/service:port`. */
    readonly writeChains: readonly { readonly owner: string | null }[];
  }[];
}

/** The program as anybody would run it on a node: `dist/weir.js`, a process of its own in the node's network. */
export class Weir {
  readonly #cluster: Cluster;
  readonly #flags: readonly string[];
  readonly #backend: Backend | 'auto';
  #process: WeirProcess | undefined;

  constructor(cluster: Cluster, backend: Backend | 'auto') {
    this.#cluster = cluster;
    this.#backend = backend;
    this.#flags = [
      `--manifests=${cluster.manifests.folder}`,
      `--node-name=${nodeName}`,
      `--cluster-cidr=${clusterCidrs}`,
      `--iptables-backend=${backend}`,
    ];
  }

  /** What the process that runs now, or ran last, has logged. */
  get log(): readonly string[] {
    return this.#process?.lines ?? [];
  }

  /** Starts `weir run`; resolves with the milliseconds until it said that it is ready. */
  async start(): Promise<number> {
    const start = systemClock.now();
    this.#process = new WeirProcess(this.#cluster.node.namespace, ['run', ...this.#flags]);
    await this.#process.waitForLine(readyLine);
    return systemClock.now() - start;
  }

  /** Resolves with the first line like this that Weir logs, or has logged since its log had `from` lines. */
  async logged(pattern: RegExp, from: number): Promise<string> {
    expect(this.#process !== undefined, 'Weir runs', 'a process', 'none');
    return this.#process.waitForLine(pattern, { from, timeoutMs: logPatienceMs });
  }

  /** Asks it to end, as the kubelet does, and waits. */
  async stop(): Promise<void> {
    const exit = await this.#process?.stop();
    expect(exit?.code === 0, 'Weir ends when it is asked to', 'exit code 0', exit);
  }

  /** Runs `weir plan`: what Weir would change in the kernel now. Changes nothing. */
  async plan(): Promise<{ readonly exitCode: number | null; readonly lines: readonly string[] }> {
    const { code, lines } = await runWeir(this.#cluster.node.namespace, ['plan', ...this.#flags]);
    return { exitCode: code, lines };
  }

  /** The same for programs. */
  async planReport(): Promise<PlanReport> {
    const args = ['plan', ...this.#flags, '--output=json'];
    const { code, lines } = await runWeir(this.#cluster.node.namespace, args);
    const text = lines.join('\n');
    expect(code === 0 || code === 2, 'weir plan succeeds', 'exit code 0 (no change) or 2 (changes)', text);
    return JSON.parse(text) as PlanReport;
  }

  /** Runs `weir cleanup`; resolves with what it printed. */
  async cleanup(): Promise<readonly string[]> {
    const args = ['cleanup', `--iptables-backend=${this.#backend}`];
    const { code, lines } = await runWeir(this.#cluster.node.namespace, args);
    expect(code === 0, 'weir cleanup succeeds', 'exit code 0', lines.join('\n'));
    return lines;
  }

  /** At once, for when the demo breaks off. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }
}
