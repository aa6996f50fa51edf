import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BenchNetwork } from './bench-network.ts';
import { listJson } from './cluster.ts';
import { firstConnectMs } from './first-packet.ts';
import { policedClient } from './policy-cluster.ts';
import { peakOfTree, residentBytes } from './process-memory.ts';

/** A node with a client in front and all pods behind it, whose objects come from a folder. */
export class BenchNode {
  readonly #network: BenchNetwork;
  readonly #folder: string;
  #weir: ChildProcess | undefined;

  constructor(name: string, objects: readonly object[]) {
    this.#network = new BenchNetwork(name);
    this.#folder = mkdtempSync(join(tmpdir(), 'weir-bench-'));
    writeFileSync(join(this.#folder, 'cluster.json'), listJson(objects));
  }

  get client(): string {
    return this.#network.client;
  }

  /** Starts Weir; resolves when the last rule is in the kernel, with the milliseconds since its process was started. */
  start(
    program: string,
    backend: string,
  ): Promise<{ readyMs: number; residentMB: number; treePeakMB: number }> {
    const flags = [
      '--node-name',
      'node-0',
      '--cluster-cidr',
      '10.244.0.0/14',
      '--logging-format',
      'json',
      '--local-pod-cidrs',
      '10.200.0.0/24',
    ];
    const args = ['run', '--manifests', this.#folder, '--iptables-backend', backend, ...flags];
    const start = performance.now();
    const child = spawn('ip', ['netns', 'exec', this.#network.node, program, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#weir = child;
    const pid = child.pid ?? 0;
    const peak = peakOfTree(pid);
    return new Promise((resolve, reject) => {
      let log = '';
      child.stderr.on('data', (chunk: Buffer) => {
        log += chunk.toString();
        if (!log.includes('"ready:')) return;
        const readyMs = performance.now() - start;
        const treePeakMB = peak.stop() / 1e6;
        // Let the garbage of the start be collected: what stays is what a node pays for.
        setTimeout(() => resolve({ readyMs, residentMB: residentBytes(pid) / 1e6, treePeakMB }), 1500);
        child.stderr.removeAllListeners('data').resume();
      });
      child.once('exit', (code) => reject(new Error(`weir ended with ${code}: ${log.slice(-2000)}`)));
    });
  }

  /** Starts a server that takes connections for every pod. */
  listen(): Promise<void> {
    return this.#network.listen();
  }

  /** A new pod appears in front of the node; milliseconds from its manifest to its first connection that passes. */
  firstAllowedMs(turn: number): Promise<number> {
    const ip = `10.200.0.${10 + turn}`;
    execFileSync('ip', ['-n', this.client, 'addr', 'add', `${ip}/32`, 'dev', 'eth0']);
    return firstConnectMs(this.client, [ip, '10.201.0.2', 8080], () => {
      writeFileSync(
        join(this.#folder, `pod-${turn}.json`),
        JSON.stringify(policedClient(`client-${turn}`, ip)),
      );
    });
  }

  async dispose(): Promise<void> {
    const weir = this.#weir;
    if (weir !== undefined && weir.exitCode === null) {
      weir.removeAllListeners('exit');
      const ended = new Promise((resolve) => weir.once('exit', resolve));
      weir.kill('SIGTERM');
      await ended;
    }
    await this.#network.dispose();
    rmSync(this.#folder, { recursive: true });
  }
}
