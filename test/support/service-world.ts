import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../pkg/apply/index.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { type Manifest, nodeManifest, targetPort, transports } from './service-manifests.ts';
import { WeirProcess } from './weir-process.ts';
import { createWorld, type World } from './world.ts';
import type { PodNetworkMode } from './world-layout.ts';

export const podNodes = { a: 'node-a', b: 'node-a', c: 'node-a', d: 'node-b', e: 'node-b' } as const;
export type PodName = keyof typeof podNodes;
export const clusterCidrs = '10.244.0.0/16,fd00:10:244::/48';

/**
 * The world of the Service tests: `node-a`, where the program under test runs, with pods a, b and c; `node-b` with d and e;
 * clients `outside` and `stranger`. All pods listen, with every protocol.
 */
export async function createServiceWorld(backend: Backend, mode: PodNetworkMode): Promise<ServiceWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-services-'));
  const podsOf = (node: string): readonly string[] =>
    Object.entries(podNodes).flatMap(([pod, where]) => (where === node ? [pod] : []));
  const world = await createWorld({
    nodes: [
      { name: 'node-a', mode, pods: podsOf('node-a') },
      { name: 'node-b', mode, pods: podsOf('node-b') },
    ],
    clients: ['outside', 'stranger'],
  });
  const services = new ServiceWorld(world, backend, folder);
  try {
    await services.prepare();
  } catch (error) {
    await services.dispose();
    throw error;
  }
  return services;
}

export class ServiceWorld {
  readonly world: World;
  readonly backend: Backend;
  readonly #folder: string;
  #weir: WeirProcess | undefined;

  constructor(world: World, backend: Backend, folder: string) {
    this.world = world;
    this.backend = backend;
    this.#folder = folder;
  }

  get node(): NetworkNamespace {
    return this.world.node;
  }

  pod(name: PodName): NetworkNamespace {
    return this.world.pod(name);
  }

  client(name: 'outside' | 'stranger'): NetworkNamespace {
    return this.world.client(name);
  }

  /** Once, by `createServiceWorld`. */
  async prepare(): Promise<void> {
    await this.world.startAgents();
    const requests = transports.map((protocol) => ({ protocol, port: targetPort }));
    await Promise.all(Object.keys(podNodes).map((pod) => this.world.pod(pod).listen(...requests)));
    // Answers of far pods come back by the node that chose them, even where it did not masquerade.
    const far = this.world.nodeNamed('node-b');
    for (const client of [this.client('outside'), this.client('stranger')]) {
      for (const family of ['IPv4', 'IPv6'] as const) {
        const args = [
          'route',
          'add',
          client.address(family),
          'via',
          this.node.address(family),
          'dev',
          'eth0',
        ];
        await far.run('ip', args);
      }
    }
  }

  /** Starts the program, in place of one that runs; resolves when the objects are in the kernel. */
  async run(manifests: readonly Manifest[], flags: readonly string[] = []): Promise<void> {
    await this.#weir?.stop();
    await this.#write(manifests);
    const where = ['run', '--manifests', this.#folder, '--node-name', 'node-a'];
    this.#weir = new WeirProcess(this.node.namespace, [
      ...where,
      '--iptables-backend',
      this.backend,
      '-v',
      '1',
      ...flags,
    ]);
    await this.#weir.waitForLine(syncedLine);
  }

  /** Other objects for the program that runs; they must differ from those before in a Service, a slice or the Node. */
  async update(manifests: readonly Manifest[]): Promise<void> {
    const weir = this.#weir;
    if (weir === undefined) throw new Error('nothing runs yet');
    const from = weir.lines.length;
    await this.#write(manifests);
    await weir.waitForLine(syncedLine, { from });
  }

  /** The Node object of `node-a`. */
  nodeObject(zone?: string): Manifest {
    return nodeManifest('node-a', this.node.addresses, zone);
  }

  /** A program of the backend under test, run on the node. */
  async iptables(family: 'IPv4' | 'IPv6', suffix: '' | '-save', args: readonly string[]): Promise<string> {
    const name = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${this.backend}${suffix}`;
    return (await this.node.run(name, args)).stdout;
  }

  async dispose(): Promise<void> {
    await this.#weir?.kill();
    await this.world.dispose();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #write(manifests: readonly Manifest[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: manifests };
    const unfinished = join(this.#folder, 'objects.unfinished');
    await writeFile(unfinished, JSON.stringify(list));
    await rename(unfinished, join(this.#folder, 'objects.json'));
  }
}

/** A sync that had something to do. */
const syncedLine = /synced .*\bservices=[1-9]/;
