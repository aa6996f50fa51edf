import { createCommandRunner } from '../../pkg/runtime/index.ts';
import { inNamespace } from './in-namespace.ts';
import { linksReady } from './links-ready.ts';
import { NetworkNamespace } from './network-namespace.ts';
import { sandboxVariable } from './sandbox.ts';
import {
  clientLines,
  lanBridgeLine,
  lanLines,
  nodeLines,
  podLines,
  podLinesOnNode,
  sysctlScript,
  vethLine,
} from './world-commands.ts';
import {
  clientAddresses,
  type MachineSpec,
  machineSpec,
  nodeAddresses,
  type PodLink,
  type PodNetworkMode,
  podCidrsOf,
  podLink,
  type WorldSpec,
} from './world-layout.ts';

const timeoutMs = 30_000;
const runner = createCommandRunner();

interface NodeState {
  readonly machine: NetworkNamespace;
  readonly index: number;
  readonly mode: PodNetworkMode;
  readonly podCidrs: readonly string[];
  podsEver: number;
}

interface PodState {
  readonly machine: NetworkNamespace;
  readonly node: NodeState;
  readonly link: PodLink;
}

let worldsEver = 0;

/**
 * Nodes, their pods and some clients outside, each a network namespace, wired up and ready, with both families:
 * pods reach each other, nodes and clients, and clients reach virtual addresses through the first node. No rules are
 * set. Only inside a sandbox (see `sandbox.ts`); the caller disposes of it.
 */
export async function createWorld(spec: WorldSpec): Promise<World> {
  if (process.env[sandboxVariable] === undefined) {
    throw new Error('Network namespaces are made only inside a sandbox: start this through npm.');
  }
  const world = new World(spec);
  try {
    await world.build();
  } catch (error) {
    await world.dispose();
    throw error;
  }
  return world;
}

export class World {
  readonly #spec: WorldSpec;
  readonly #prefix: string;
  readonly #nodes: readonly NodeState[];
  readonly #clients: readonly NetworkNamespace[];
  readonly #pods = new Map<string, PodState>();
  readonly #namespaces = new Set<string>();
  #namesEver = 0;

  constructor(spec: WorldSpec) {
    worldsEver += 1;
    this.#prefix = `weir-${process.pid}-${worldsEver}`;
    this.#spec = spec;
    this.#nodes = spec.nodes.map((node, index) => ({
      machine: new NetworkNamespace(node.name, this.#newNamespace('node'), nodeAddresses(index)),
      index,
      mode: node.mode ?? 'routed',
      podCidrs: podCidrsOf(node, index),
      podsEver: 0,
    }));
    this.#clients = (spec.clients ?? [])
      .map(machineSpec)
      .map(
        (client, index) =>
          new NetworkNamespace(client.name, this.#newNamespace('client'), clientAddresses(client, index)),
      );
  }

  /** The first node. */
  get node(): NetworkNamespace {
    return this.nodeNamed();
  }

  nodeNamed(name?: string): NetworkNamespace {
    return this.#nodeState(name).machine;
  }

  podCidrs(node?: string): readonly string[] {
    return this.#nodeState(node).podCidrs;
  }

  pod(name: string): NetworkNamespace {
    return this.#podState(name).machine;
  }

  /** The node's end of the pod's veth. */
  nodeInterface(pod: string): string {
    return this.#podState(pod).link.nodeInterface;
  }

  client(name: string): NetworkNamespace {
    const client = this.#clients.find((client) => client.name === name);
    if (client === undefined) throw new RangeError(`no client ${name}`);
    return client;
  }

  /** Once, by `createWorld`. */
  async build(): Promise<void> {
    const lan = this.#newNamespace('lan');
    const machines = [...this.#nodes.map((node) => node.machine), ...this.#clients];
    const ports = machines.map((_, index) => `port${index}`);
    await this.#ip([
      ...[lan, ...machines.map((machine) => machine.namespace)].map((name) => `netns add ${name}`),
      lanBridgeLine(lan),
      ...machines.map((machine, index) =>
        vethLine(
          { namespace: machine.namespace, interface: 'eth0' },
          { namespace: lan, interface: `port${index}` },
        ),
      ),
    ]);
    const nodes = this.#nodes.map((node) => ({ addresses: node.machine.addresses, podCidrs: node.podCidrs }));
    await Promise.all([
      this.#configure(lan, sysctlScript('lan'), lanLines(ports)),
      ...this.#nodes.map((node) => {
        const others = nodes.filter((_, index) => index !== node.index);
        const lines = nodeLines(node.machine.addresses, node.mode, node.podCidrs, others);
        return this.#configure(node.machine.namespace, sysctlScript('node', node.mode), lines);
      }),
      ...this.#clients.map((client) =>
        this.#configure(client.namespace, sysctlScript('machine'), clientLines(client.addresses, nodes)),
      ),
    ]);
    const pods = this.#nodes.map((node, index) =>
      this.#addPods(node, (this.#spec.nodes[index]?.pods ?? []).map(machineSpec)),
    );
    await Promise.all([...pods, linksReady(runner, [lan, ...machines.map((machine) => machine.namespace)])]);
  }

  /** Adds a pod to a node, by default to the first. */
  async addPod(spec: string | MachineSpec, node?: string): Promise<NetworkNamespace> {
    await this.#addPods(this.#nodeState(node), [machineSpec(spec)]);
    return this.pod(machineSpec(spec).name);
  }

  /** Ends the pod's processes and takes its interface away; when this resolves, its address is free. */
  async removePod(name: string): Promise<void> {
    const { machine, node, link } = this.#podState(name);
    await machine.stopAgent();
    await node.machine.run('ip', ['link', 'delete', link.nodeInterface]);
    this.#pods.delete(name);
    await this.#deleteNamespaces([machine.namespace]);
  }

  /** Starts all agents at once: quicker than one by one, when all will be needed. */
  async startAgents(): Promise<void> {
    await Promise.all(this.#machines().map((machine) => machine.startAgent()));
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#machines().map((machine) => machine.stopAgent()));
    await this.#deleteNamespaces([...this.#namespaces]);
  }

  #machines(): readonly NetworkNamespace[] {
    const pods = [...this.#pods.values()].map((pod) => pod.machine);
    return [...this.#nodes.map((node) => node.machine), ...this.#clients, ...pods];
  }

  async #addPods(node: NodeState, specs: readonly MachineSpec[]): Promise<void> {
    if (specs.length === 0) return;
    const pods = specs.map((spec): PodState => {
      if (this.#pods.has(spec.name)) throw new RangeError(`there is a pod ${spec.name} already`);
      const link = podLink(spec, node.podCidrs, node.index, node.podsEver);
      node.podsEver += 1;
      const pod = {
        machine: new NetworkNamespace(spec.name, this.#newNamespace('pod'), link.addresses),
        node,
        link,
      };
      this.#pods.set(spec.name, pod);
      return pod;
    });
    await this.#ip([
      ...pods.map(({ machine }) => `netns add ${machine.namespace}`),
      ...pods.map(({ machine, link }) =>
        vethLine(
          { namespace: machine.namespace, interface: 'eth0', mac: link.podMac },
          { namespace: node.machine.namespace, interface: link.nodeInterface, mac: link.nodeMac },
        ),
      ),
    ]);
    await Promise.all([
      this.#configure(
        node.machine.namespace,
        sysctlScript('node', node.mode),
        pods.flatMap(({ link }) => podLinesOnNode(node.mode, link)),
      ),
      ...pods.map(({ machine, link }) =>
        this.#configure(machine.namespace, sysctlScript('machine'), podLines(node.mode, link, node.podCidrs)),
      ),
    ]);
    await linksReady(runner, [node.machine.namespace, ...pods.map((pod) => pod.machine.namespace)]);
  }

  #nodeState(name?: string): NodeState {
    const node = this.#nodes.find((node) => name === undefined || node.machine.name === name);
    if (node === undefined) throw new RangeError(`no node ${name ?? 'at all'}`);
    return node;
  }

  #podState(name: string): PodState {
    const pod = this.#pods.get(name);
    if (pod === undefined) throw new RangeError(`no pod ${name}`);
    return pod;
  }

  #newNamespace(role: string): string {
    this.#namesEver += 1;
    const name = `${this.#prefix}-${role}${this.#namesEver}`;
    this.#namespaces.add(name);
    return name;
  }

  async #deleteNamespaces(names: readonly string[]): Promise<void> {
    const input = names.map((name) => `netns delete ${name}\n`);
    // Names that were never made, because building broke off, are no reason to keep the others.
    await runner.run({ file: 'ip', args: ['-force', '-batch', '-'], input, timeoutMs });
    for (const name of names) this.#namespaces.delete(name);
  }

  async #ip(lines: readonly string[]): Promise<void> {
    const result = await runner.run({
      file: 'ip',
      args: ['-batch', '-'],
      input: `${lines.join('\n')}\n`,
      timeoutMs,
    });
    if (result.exitCode !== 0) throw new Error(`ip: ${result.stderr.trim()}`);
  }

  async #configure(namespace: string, script: string, lines: readonly string[]): Promise<void> {
    const result = await inNamespace(runner, namespace).run({
      file: 'sh',
      args: ['-ec', `${script}\nip -batch -`],
      input: `${lines.join('\n')}\n`,
      timeoutMs,
    });
    if (result.exitCode !== 0) throw new Error(`${namespace}: ${result.stderr.trim()}`);
  }
}
