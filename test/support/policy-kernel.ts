import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../pkg/apply/index.ts';
import { familyOf } from '../../pkg/net/index.ts';
import type { Transport } from './agent/protocol.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { canary } from './node-rules.ts';
import { type Answer, type Attempt, PacketMatrix } from './packet-matrix.ts';
import { type Manifest, nodeManifest } from './service-manifests.ts';
import { WeirProcess } from './weir-process.ts';
import { createWorld, type World } from './world.ts';
import type { MachineSpec } from './world-layout.ts';

export interface PolicyKernelSpec {
  readonly backend: Backend;
  readonly deny: 'drop' | 'reject';
  /** Routed pods of the one node. */
  readonly pods: readonly MachineSpec[];
  /** Machines outside, beside the node. */
  readonly clients?: readonly string[];
  readonly ports: readonly (readonly [Transport, number])[];
}

/** One packet's way, and whether it should get through. */
export interface Cell {
  readonly from: string;
  readonly protocol: Transport;
  readonly address: string;
  readonly port: number;
  readonly isAllowed: boolean;
}

export const policyNode = 'node';
const quick = { graceMs: 60, timeoutMs: 1200 };
/** Long enough for a third SYN on a busy machine. */
const thorough = { graceMs: 1000, timeoutMs: 4000 };

/** A node whose pods are network namespaces, with one Weir that follows a file of manifests from its start to its end. */
export async function createPolicyKernel(spec: PolicyKernelSpec): Promise<PolicyKernel> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-kernel-'));
  const world = await createWorld({
    nodes: [{ name: policyNode, pods: spec.pods }],
    ...(spec.clients === undefined ? {} : { clients: spec.clients }),
  });
  const kernel = new PolicyKernel(world, folder, spec);
  try {
    await kernel.start();
  } catch (error) {
    await kernel.dispose();
    throw error;
  }
  return kernel;
}

export class PolicyKernel {
  readonly world: World;
  readonly #folder: string;
  readonly #spec: PolicyKernelSpec;
  readonly #matrix: PacketMatrix;
  #weir: WeirProcess | undefined;
  #states = 0;

  constructor(world: World, folder: string, spec: PolicyKernelSpec) {
    this.world = world;
    this.#folder = folder;
    this.#spec = spec;
    this.#matrix = new PacketMatrix([
      ...spec.pods.map(({ name }) => world.pod(name)),
      ...(spec.clients ?? []).map((name) => world.client(name)),
    ]);
  }

  get node(): NetworkNamespace {
    return this.world.node;
  }

  /** Once, by `createPolicyKernel`. */
  async start(): Promise<void> {
    for (const [protocol, port] of this.#spec.ports) this.#matrix.listen(protocol, port);
    await this.#matrix.ready();
    await this.#save([], []);
    const flags = [`--manifests=${this.#folder}`, `--node-name=${policyNode}`, '-v=1'];
    const weir = new WeirProcess(this.node.namespace, [
      'run',
      ...flags,
      `--iptables-backend=${this.#spec.backend}`,
      `--policy-deny=${this.#spec.deny}`,
      `--local-pod-cidrs=${this.defaultRanges.join(',')}`,
    ]);
    this.#weir = weir;
    // The first sync has been told: the next one is about a change.
    await weir.waitForLine(/\bsynced \(/);
  }

  /** Ranges of the node's pods where its Node names none: exactly the addresses of pods, which only known ones may use. */
  get defaultRanges(): readonly string[] {
    return this.#spec.pods.flatMap(({ name }) =>
      this.world
        .pod(name)
        .addresses.map((address) => `${address}/${familyOf(address) === 'IPv4' ? 32 : 128}`),
    );
  }

  /**
   * The cluster has these objects from now on, besides the node, whose Node names these ranges; resolves when Weir has brought them into
   * the kernel.
   */
  async become(manifests: readonly Manifest[], podCIDRs: readonly string[] = []): Promise<void> {
    const weir = this.#weir;
    if (weir === undefined) throw new Error('not started');
    const from = weir.lines.length;
    await this.#save(manifests, podCIDRs);
    // A sync in which an object had changed: not one that only looked at the kernel.
    await weir.waitForLine(/\bsynced \(.*\b(services|policies|pods|namespaces)=[1-9]/, { from });
  }

  /** What did not become of its cell what should have; each failure is looked at twice. */
  async wrongCells(cells: readonly Cell[]): Promise<readonly string[]> {
    const first = cells.map(attemptOf);
    const answers = await this.#matrix.attempt(first, quick);
    const suspects = first.filter((attempt, index) => isWrong(attempt, answers[index]));
    const again = await this.#matrix.attempt(suspects, thorough);
    return suspects.flatMap((attempt, index) => {
      const answer = again[index] ?? 'silence';
      if (!isWrong(attempt, answer)) return [];
      const { from, protocol, address, port, expected } = attempt;
      return [`${from} to ${address} ${protocol}/${port}: ${answer}, not ${expected}`];
    });
  }

  /** What the node's kernel holds, line by line, without dates and counters. */
  async rules(): Promise<readonly string[]> {
    const { backend } = this.#spec;
    const script = `iptables-${backend}-save; ip6tables-${backend}-save; ipset save`;
    const { stdout } = await this.node.run('sh', ['-ec', script]);
    return stdout
      .split('\n')
      .filter((line) => !line.startsWith('#') && !canary.test(line))
      .map((line) => line.replace(/ \[\d+:\d+\]$/, ''));
  }

  /** What Weir warned of, and what it could not do. */
  get complaints(): readonly string[] {
    return (this.#weir?.lines ?? []).filter((line) => / (WARN|ERROR) /.test(line));
  }

  async dispose(): Promise<void> {
    await this.#weir?.kill();
    await this.#matrix.stop();
    await this.world.dispose();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #save(manifests: readonly Manifest[], podCIDRs: readonly string[]): Promise<void> {
    this.#states += 1;
    // Something that is different in every state, and concerns no packet: a pod without an address.
    const marker = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'marker', name: 'marker', labels: { state: `state-${this.#states}` } },
      spec: { containers: [{ name: 'main', image: 'none' }] },
      status: { phase: 'Pending' },
    };
    const node = { ...nodeManifest(policyNode, this.node.addresses), spec: { podCIDRs } };
    const items = [node, marker, ...manifests];
    const unfinished = join(this.#folder, 'unfinished');
    await writeFile(unfinished, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await rename(unfinished, join(this.#folder, 'cluster.json'));
  }
}

function attemptOf({ isAllowed, ...cell }: Cell): Attempt {
  return { ...cell, expected: isAllowed ? 'answered' : 'silence' };
}

function isWrong({ expected }: Attempt, answer: Answer | undefined): boolean {
  return (answer === 'answered') !== (expected === 'answered');
}
