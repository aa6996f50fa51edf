import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listJson } from './cluster.ts';
import { firstConnectMs } from './first-packet.ts';
import { policedClient } from './policy-cluster.ts';
import { peakOfTree, residentBytes } from './process-memory.ts';

/** A node with a client in front and all pods behind it: three network namespaces in a row. */
export class BenchNode {
  readonly namespace: string;
  readonly client: string;
  readonly #server: string;
  readonly #folder: string;
  #weir: ChildProcess | undefined;
  #listener: ChildProcess | undefined;

  constructor(name: string, objects: readonly object[]) {
    this.namespace = `${name}-node`;
    this.client = `${name}-client`;
    this.#server = `${name}-server`;
    this.#folder = mkdtempSync(join(tmpdir(), 'weir-bench-'));
    writeFileSync(join(this.#folder, 'cluster.json'), listJson(objects));
    const script = `
      ip netns add ${this.client}; ip netns add ${this.namespace}; ip netns add ${this.#server}
      for n in ${this.client} ${this.namespace} ${this.#server}; do ip -n $n link set lo up; done
      ip -n ${this.namespace} link add in type veth peer name eth0 netns ${this.client}
      ip -n ${this.namespace} link add out type veth peer name eth0 netns ${this.#server}
      ip -n ${this.client} addr add 10.200.0.2/24 dev eth0; ip -n ${this.client} link set eth0 up
      ip -n ${this.namespace} addr add 10.200.0.1/24 dev in; ip -n ${this.namespace} link set in up
      ip -n ${this.namespace} addr add 10.201.0.1/24 dev out; ip -n ${this.namespace} link set out up
      ip -n ${this.#server} addr add 10.201.0.2/24 dev eth0; ip -n ${this.#server} link set eth0 up
      ip -n ${this.client} route add default via 10.200.0.1
      ip -n ${this.namespace} route add 10.244.0.0/14 via 10.201.0.2
      ip -n ${this.#server} route add default via 10.201.0.1
      ip -n ${this.#server} route add local 10.244.0.0/14 dev lo
      ip netns exec ${this.namespace} sysctl -qw net.ipv4.ip_forward=1`;
    execFileSync('sh', ['-ec', script]);
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
    const child = spawn('ip', ['netns', 'exec', this.namespace, program, ...args], {
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
  async listen(): Promise<void> {
    const code =
      "require('net').createServer((s)=>s.on('error',()=>{}).resume()).listen(8080,'0.0.0.0',4096,()=>console.log('up'))";
    const child = spawn('ip', ['netns', 'exec', this.#server, process.execPath, '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#listener = child;
    await new Promise((resolve) => child.stdout.once('data', resolve));
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
    for (const child of [this.#weir, this.#listener]) {
      if (child === undefined || child.exitCode !== null) continue;
      child.removeAllListeners('exit');
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
    for (const name of [this.client, this.namespace, this.#server])
      execFileSync('ip', ['netns', 'delete', name]);
    rmSync(this.#folder, { recursive: true });
  }
}
