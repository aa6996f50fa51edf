import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { Transport } from './agent/protocol.ts';
import { capabilities } from './capabilities.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { type Manifest, nodeManifest, targetPort, transports } from './service-manifests.ts';
import { WeirProcess } from './weir-process.ts';
import { createWorld, type World } from './world.ts';
import type { PodNetworkMode } from './world-layout.ts';

export const podNodes = { a: 'node-a', b: 'node-a', c: 'node-a', d: 'node-b', e: 'node-b' } as const;
export type PodName = keyof typeof podNodes;
export const clusterCidrs = '10.244.0.0/16,fd00:10:244::/48';

/** What this machine can run of the Service tests. */
export const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset;
export const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];
export const backends: readonly Backend[] = [
  ...(capabilities['iptables-legacy'] ? (['legacy'] as const) : []),
  ...(capabilities['iptables-nft'] ? (['nft'] as const) : []),
];
export const protocols: readonly Transport[] = transports.filter(
  (protocol) => protocol !== 'sctp' || capabilities['perl-raw'],
);
const modes: readonly PodNetworkMode[] = capabilities['bridge-netfilter']
  ? ['routed', 'bridged']
  : ['routed'];
export const worlds = backends.flatMap((backend) => modes.map((mode) => ({ backend, mode })));

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
  #written: readonly Manifest[] = [];

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
      for (const family of families) {
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
    await this.stop();
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

  /** Other objects for the program that runs; where they differ, then in a Service, a slice or the Node. */
  async update(manifests: readonly Manifest[]): Promise<void> {
    if (JSON.stringify(manifests) === JSON.stringify(this.#written)) return;
    await this.afterSync(() => this.#write(manifests));
  }

  /** Changes something that the program that runs notices; resolves when it is in the kernel. */
  async afterSync(change: () => Promise<unknown>): Promise<void> {
    const weir = this.#weir;
    if (weir === undefined) throw new Error('nothing runs yet');
    const from = weir.lines.length;
    await change();
    await weir.waitForLine(syncedLine, { from });
  }

  /** What the program that runs has printed, line by line. */
  get lines(): readonly string[] {
    return this.#weir?.lines ?? [];
  }

  /** Ends the program; the rules stay. */
  async stop(): Promise<void> {
    await this.#weir?.stop();
    this.#weir = undefined;
  }

  /** The Node object of `node-a`. */
  nodeObject(zone?: string): Manifest {
    return nodeManifest('node-a', this.node.addresses, zone);
  }

  /** A program of the backend under test, run on the node. */
  async iptables(family: Family, suffix: '' | '-save', args: readonly string[]): Promise<string> {
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
    this.#written = manifests;
  }
}

/** A sync that had something to do. */
const syncedLine = /synced .*\b(?:services|policies|pods|namespaces)=[1-9]/;
