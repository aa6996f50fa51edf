import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { ConnectRequest, Transport } from './agent/protocol.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { namespaceManifest, type PodManifestSpec, podManifest } from './policy-manifests.ts';
import { type Manifest, nodeManifest, targetPort } from './service-manifests.ts';
import { runWeir, WeirProcess } from './weir-process.ts';
import { createWorld, type World } from './world.ts';
import type { WorldSpec } from './world-layout.ts';

const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];

/**
 * Nodes with pods, and a folder of manifests that every Weir of the lab reads. The nodes, the namespace and all pods with
 * their name as label `app` are in it from the start; everybody listens on the target port with TCP and UDP.
 */
export async function createPolicyLab(backend: Backend, spec: WorldSpec): Promise<PolicyLab> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-policies-'));
  const world = await createWorld(spec);
  const lab = new PolicyLab(world, backend, folder, spec);
  try {
    await lab.prepare();
  } catch (error) {
    await lab.dispose();
    throw error;
  }
  return lab;
}

export class PolicyLab {
  readonly world: World;
  readonly backend: Backend;
  readonly folder: string;
  readonly #spec: WorldSpec;
  readonly #started: WeirProcess[] = [];

  constructor(world: World, backend: Backend, folder: string, spec: WorldSpec) {
    this.world = world;
    this.backend = backend;
    this.folder = folder;
    this.#spec = spec;
  }

  /** The first node. */
  get node(): NetworkNamespace {
    return this.world.node;
  }

  pod(name: string): NetworkNamespace {
    return this.world.pod(name);
  }

  get outside(): NetworkNamespace {
    return this.world.client('outside');
  }

  /** Once, by `createPolicyLab`. */
  async prepare(): Promise<void> {
    await this.world.startAgents();
    const nodes = this.#spec.nodes.map(({ name }) => this.world.nodeNamed(name));
    await Promise.all([...nodes, this.outside].map((machine) => listen(machine)));
    await this.save('namespace', namespaceManifest());
    for (const { name, pods } of this.#spec.nodes) {
      await this.save(`node-${name}`, nodeManifest(name, this.world.nodeNamed(name).addresses));
      for (const pod of pods ?? []) {
        const podName = typeof pod === 'string' ? pod : pod.name;
        await listen(this.pod(podName));
        await this.savePod({ name: podName, node: name });
      }
    }
  }

  /** Puts a file in the place of the one with this name, at once. */
  save(name: string, ...items: readonly Manifest[]): Promise<void> {
    return this.saveText(name, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  async saveText(name: string, text: string): Promise<void> {
    const unfinished = join(this.folder, `${name}.unfinished`);
    await writeFile(unfinished, text);
    await rename(unfinished, this.path(name));
  }

  /** A pod's manifest, by default with the addresses that it has. */
  savePod(spec: Omit<PodManifestSpec, 'addresses'> & Partial<PodManifestSpec>): Promise<void> {
    const addresses = spec.addresses ?? this.pod(spec.name).addresses;
    return this.save(`pod-${spec.name}`, podManifest({ ...spec, addresses }));
  }

  remove(name: string): Promise<void> {
    return rm(this.path(name));
  }

  path(name: string): string {
    return join(this.folder, `${name}.json`);
  }

  /** Starts `weir run` on a node (default: the first) and does not wait. */
  launch(node = this.node.name, ...flags: readonly string[]): WeirProcess {
    const often = ['--iptables-sync-period', '1s', '-v', '1'];
    const args = ['run', ...this.#ruleFlags(node), ...often, ...flags];
    const weir = new WeirProcess(this.world.nodeNamed(node).namespace, args);
    this.#started.push(weir);
    return weir;
  }

  /** Starts `weir run` and waits until all that it knows is in the kernel. */
  async start(node = this.node.name, ...flags: readonly string[]): Promise<WeirProcess> {
    const weir = this.launch(node, ...flags);
    await weir.waitForLine(/\bready:/, { timeoutMs: 60_000 });
    return weir;
  }

  /** What `weir plan` prints: `IPv4: no change` and the same for IPv6 when the kernel holds exactly what it should. Without warnings. */
  async plan(node = this.node.name, ...flags: readonly string[]): Promise<readonly string[]> {
    const lines = await this.#plan(node, flags);
    return lines.filter((line) => !/^(warning|hint): /.test(line));
  }

  /** What `weir plan` warns of. */
  async planWarnings(node = this.node.name): Promise<readonly string[]> {
    const lines = await this.#plan(node);
    return lines.filter((line) => line.startsWith('warning: '));
  }

  /** One restore by somebody else on the first node, of lines for the filter table. */
  async iptables(family: Family, ...lines: readonly string[]): Promise<void> {
    const input = ['*filter', ...lines, 'COMMIT', ''].join('\n');
    await this.node.run(this.tool(family, '-restore'), ['--noflush', '-w', '30'], { input });
  }

  /** The rules of a chain of the filter table on the first node, as `iptables -S` prints them. */
  async chain(family: Family, chain: string): Promise<readonly string[]> {
    const { stdout } = await this.node.run(this.tool(family), ['-w', '30', '-S', chain]);
    return stdout.split('\n').filter((line) => line.startsWith('-A '));
  }

  /** The name of a program of the backend under test. */
  tool(family: Family, suffix: '' | '-save' | '-restore' = ''): string {
    return `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${this.backend}${suffix}`;
  }

  /** Ends every program that still runs, without asking. */
  async killAll(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((weir) => weir.kill()));
  }

  async dispose(): Promise<void> {
    await this.killAll();
    await this.world.dispose();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #plan(node: string, flags: readonly string[] = []): Promise<readonly string[]> {
    const { namespace } = this.world.nodeNamed(node);
    const { lines } = await runWeir(namespace, ['plan', ...this.#ruleFlags(node), ...flags]);
    return lines;
  }

  #ruleFlags(node: string): readonly string[] {
    return [
      `--manifests=${this.folder}`,
      `--node-name=${node}`,
      `--iptables-backend=${this.backend}`,
      '--cluster-cidr=10.244.0.0/16,fd00:10:244::/48',
      `--local-pod-cidrs=${this.world.podCidrs(node).join(',')}`,
    ];
  }
}

/** A machine answers on the target port. */
export function listen(machine: NetworkNamespace): Promise<void> {
  return machine.listen({ protocol: 'tcp', port: targetPort }, { protocol: 'udp', port: targetPort });
}

/** How long a packet that was dropped is waited for. */
const silenceMs = 500;

/** What became of an attempt to reach a machine: who answered, or how it failed. */
export async function tried(
  from: NetworkNamespace,
  to: NetworkNamespace,
  family: Family,
  request: Partial<ConnectRequest> = {},
): Promise<string> {
  const outcome = await from.connect({ ...targetOf(to, family, 'tcp'), timeoutMs: silenceMs, ...request });
  return outcome.kind === 'reply' ? outcome.name : outcome.kind;
}

/** The same over TCP and UDP and both families: one word where all agree, else all of them. */
export async function triedAll(from: NetworkNamespace, to: NetworkNamespace): Promise<string> {
  const requests = families.flatMap((family) =>
    (['tcp', 'udp'] as const).map((protocol) => tried(from, to, family, { protocol })),
  );
  const results = await Promise.all(requests);
  return new Set(results).size === 1 ? (results[0] ?? '') : results.join(' ');
}

export function targetOf(to: NetworkNamespace, family: Family, protocol: Transport): ConnectRequest {
  return { protocol, address: to.address(family), port: targetPort };
}
