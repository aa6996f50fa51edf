import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { createCommandRunner } from '../../pkg/runtime/index.ts';
import { kubeconfig } from './api-credentials.ts';
import { FakeApiServer, type FakeApiServerOptions } from './fake-api-server.ts';
import { clusterCidrs, createFaultWorld, type FaultService, type FaultWorld } from './fault-world.ts';
import { ask, type SeenAnswer } from './http-answer.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { namespaceManifest, podManifest } from './policy-manifests.ts';
import { type MetricFamily, parsePrometheusText } from './prometheus-text.ts';
import { endpointSlices, nodeManifest, serviceManifest } from './service-manifests.ts';
import { builtProgram, WeirProcess } from './weir-process.ts';

/** The cable between the tests, where the API server runs, and the node. Nothing else has these addresses. */
const interfaceName = 'weir-api';
const apiAddress = '192.0.2.1';
const nodeAddress = '192.0.2.2';
const runner = createCommandRunner();

export const nodeName = 'node-a';
export const healthPort = 10_256;
export const metricsPort = 10_249;
const apiPods = ['a', 'b', 'c'] as const;

/** A node with pods a, b and c and a client outside, on which the agent is told by an API server what there is. */
export async function createAgentNode(backend: Backend): Promise<AgentNode> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-agent-'));
  const faults = await createFaultWorld(backend);
  const node = new AgentNode(faults, folder);
  try {
    await node.connect();
  } catch (error) {
    await node.dispose();
    throw error;
  }
  return node;
}

export class AgentNode {
  /** The same node, for its pods, and for what others do to its rules. */
  readonly faults: FaultWorld;
  readonly #folder: string;
  readonly #started: WeirProcess[] = [];
  #api: FakeApiServer | undefined;

  constructor(faults: FaultWorld, folder: string) {
    this.faults = faults;
    this.#folder = folder;
  }

  get node(): NetworkNamespace {
    return this.faults.node;
  }

  get api(): FakeApiServer {
    if (this.#api === undefined) throw new Error('no API server yet');
    return this.#api;
  }

  path(file: string): string {
    return join(this.#folder, file);
  }

  get kubeconfig(): string {
    return this.path('kubeconfig.conf');
  }

  /** Once, by `createAgentNode`. */
  async connect(): Promise<void> {
    const { namespace } = this.node;
    const lines = [
      `link add ${interfaceName} type veth peer name ${interfaceName} netns ${namespace}`,
      `address add ${apiAddress}/30 dev ${interfaceName}`,
      `link set ${interfaceName} up`,
    ];
    await runner.run({
      file: 'ip',
      args: ['-batch', '-'],
      input: `${lines.join('\n')}\n`,
      timeoutMs: 30_000,
    });
    await this.node.run('ip', ['address', 'add', `${nodeAddress}/30`, 'dev', interfaceName]);
    await this.node.run('ip', ['link', 'set', interfaceName, 'up']);
  }

  /** A new API server in place of the one before. It knows the Node, the Namespace and the pods. */
  async newApi(
    options: FakeApiServerOptions = {},
    user: Readonly<Record<string, unknown>> = {},
  ): Promise<FakeApiServer> {
    await this.#api?.close();
    const api = await new FakeApiServer({ ...options, address: apiAddress }).start();
    this.#api = api;
    await writeFile(this.kubeconfig, kubeconfig({ server: api.url }, user));
    this.putNode();
    api.put(namespaceManifest());
    for (const name of apiPods)
      api.put(podManifest({ name, node: nodeName, addresses: this.faults.pod(name).addresses }));
    return api;
  }

  /** From now on the cable to the API server loses every packet, both ways, and nobody is told; or no longer. */
  async losePackets(areLost: boolean): Promise<void> {
    for (const [chain, side] of [
      ['INPUT', '-i'],
      ['OUTPUT', '-o'],
    ] as const) {
      const rule = [areLost ? '-I' : '-D', chain, side, interfaceName, '-j', 'DROP'];
      const { exitCode, stderr } = await runner.run({
        file: this.faults.tool('IPv4'),
        args: ['-w', '30', ...rule],
        timeoutMs: 60_000,
      });
      if (exitCode !== 0) throw new Error(`no packets are lost: ${stderr}`);
    }
  }

  /** The Node as the API shows it, with other fields in place of some. */
  putNode(changes: Readonly<Record<string, unknown>> = {}): void {
    this.api.put({ ...nodeManifest(nodeName, this.node.addresses), ...changes });
  }

  /** The Service with its slices, or what has changed of them. */
  putService(service: FaultService): void {
    const endpoints = service.pods.map((pod) => ({ pod: this.faults.pod(pod), node: nodeName }));
    for (const object of [serviceManifest(service), ...endpointSlices(service.name, endpoints)])
      this.api.put(object);
  }

  removeService(name: string): void {
    this.api.remove('services', 'default', name);
    for (const family of ['ipv4', 'ipv6'])
      this.api.remove('endpointslices', 'default', `${name}-${family}-0`);
  }

  /** For `run`. */
  get flags(): readonly string[] {
    return [...this.planFlags, `--metrics-bind-address=0.0.0.0:${metricsPort}`, '--iptables-sync-period=1s'];
  }

  get planFlags(): readonly string[] {
    return [
      `--kubeconfig=${this.kubeconfig}`,
      `--node-name=${nodeName}`,
      `--cluster-cidr=${Object.values(clusterCidrs).join(',')}`,
      `--iptables-backend=${this.faults.backend}`,
    ];
  }

  /** Starts the program on the node and does not wait; `before` are words in front of it. */
  exec(args: readonly string[], before: readonly string[] = []): WeirProcess {
    const weir = new WeirProcess(this.node.namespace, args, {}, [...before, ...builtProgram]);
    this.#started.push(weir);
    return weir;
  }

  /** Starts the agent and does not wait. */
  launch(...flags: readonly string[]): WeirProcess {
    return this.exec(['run', ...this.flags, ...flags]);
  }

  async start(...flags: readonly string[]): Promise<WeirProcess> {
    const weir = this.launch(...flags);
    await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
    return weir;
  }

  /** Asks a server of the node, from outside of it. */
  ask(port: number, path: string): Promise<SeenAnswer> {
    return ask(port, path, nodeAddress);
  }

  /** The status, or the error's code when nobody listens. */
  async status(port: number, path: string): Promise<number | string> {
    try {
      return (await this.ask(port, path)).status;
    } catch (error) {
      return error instanceof Error && 'code' in error ? String(error.code) : String(error);
    }
  }

  async scrape(): Promise<ReadonlyMap<string, MetricFamily>> {
    return parsePrometheusText((await this.ask(metricsPort, '/metrics')).body);
  }

  /** Weir's chains and sets by name. */
  async written(): Promise<readonly string[]> {
    const { own, ownSets } = await this.faults.rules();
    return [...Object.keys(own), ...Object.keys(ownSets)];
  }

  /** What the rules that match the text have counted, in the order of the chains. */
  async packets(family: Family, table: string, rule: RegExp): Promise<readonly number[]> {
    const saved = await this.faults.save(family, '-c', '-t', table);
    return saved
      .split('\n')
      .filter((line) => rule.test(line))
      .map((line) => Number(/^\[(\d+):/.exec(line)?.[1]));
  }

  /** Ends what runs and takes away all rules and sets. */
  async wipe(): Promise<void> {
    await this.killAll();
    await this.faults.wipe();
  }

  async killAll(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((weir) => weir.kill()));
  }

  async dispose(): Promise<void> {
    await this.killAll();
    await this.#api?.close();
    await runner.run({ file: 'ip', args: ['link', 'delete', interfaceName], timeoutMs: 30_000 });
    await this.faults.dispose();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
