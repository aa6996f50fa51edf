import type { Pod, Service } from '../../pkg/api/index.ts';
import { type Backend, detectBackend } from '../../pkg/apply/index.ts';
import type { NetworkNamespace } from '../../test/support/network-namespace.ts';
import { createWorld, type World } from '../../test/support/world.ts';
import { KernelRules } from './kernel-rules.ts';
import { copyManifests, type ManifestCopy } from './manifest-copy.ts';

export const nodeName = 'node-1';
const clientName = 'laptop';
const transports = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const;

/** Opens the cluster of `manifests/`: one node that runs the pods of these files, and one client outside. Only in a sandbox. */
export async function openCluster(backend: Backend | 'auto'): Promise<Cluster> {
  const manifests = await copyManifests();
  const { pods, services } = await manifests.read();
  const world = await createWorld({
    nodes: [{ name: nodeName, pods: pods.map(machineOf) }],
    clients: [clientName],
  });
  await world.startAgents();
  await Promise.all(pods.map((pod) => listen(world.pod(pod.name), pod)));
  const { families } = await detectBackend({ commands: world.node.runner, choice: backend });
  const rules = new KernelRules(world.node, families);
  return new Cluster({ manifests, pods, services: services.toSorted(byClusterIP), world, rules });
}

interface ClusterParts {
  readonly manifests: ManifestCopy;
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly world: World;
  readonly rules: KernelRules;
}

/** Plays the kubelet as well: a pod of the manifests is a network namespace in which a program listens. */
export class Cluster {
  readonly manifests: ManifestCopy;
  /** As the manifests were at the beginning. */
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  /** What the node's kernel really holds. */
  readonly rules: KernelRules;
  readonly #world: World;

  constructor({ manifests, pods, services, world, rules }: ClusterParts) {
    this.manifests = manifests;
    this.pods = pods;
    this.services = services;
    this.rules = rules;
    this.#world = world;
  }

  get node(): NetworkNamespace {
    return this.#world.node;
  }

  /** The machine outside of the cluster. */
  get client(): NetworkNamespace {
    return this.#world.client(clientName);
  }

  pod(name: string): NetworkNamespace {
    return this.#world.pod(name);
  }

  /** A Service by name; throws when there is none. */
  service(name: string): Service {
    const service = this.services.find((one) => one.name === name);
    if (service === undefined) throw new RangeError(`no Service ${name}`);
    return service;
  }

  /** Names of the ready pods that a Service selects. */
  podsBehind({ selector }: Service): readonly string[] {
    const labels = Object.entries(selector ?? {});
    const ready = this.pods.filter((pod) => pod.ready);
    const selected = ready.filter((pod) => labels.every(([key, value]) => pod.labels[key] === value));
    return labels.length === 0 ? [] : selected.map((pod) => pod.name);
  }

  /** The first name with a number that no pod of the manifests has. */
  freePodName(prefix: string): string {
    const names = new Set(this.pods.map((pod) => pod.name));
    let number = 1;
    while (names.has(`${prefix}-${number}`)) number += 1;
    return `${prefix}-${number}`;
  }

  /** Starts one more pod with the ports of another. It is not in the manifests yet. */
  async startPod(name: string, like: string): Promise<NetworkNamespace> {
    const model = this.pods.find((pod) => pod.name === like);
    if (model === undefined) throw new RangeError(`no pod ${like}`);
    const machine = await this.#world.addPod({ name });
    await machine.startAgent();
    await listen(machine, model);
    return machine;
  }

  /** Ends a pod and takes its address away. */
  async endPod(name: string): Promise<void> {
    await this.#world.removePod(name);
  }

  async close(): Promise<void> {
    await this.#world.dispose();
  }
}

/** Services without an address come last. */
function byClusterIP(one: Service, other: Service): number {
  return (one.clusterIPs.IPv4 ?? '~') < (other.clusterIPs.IPv4 ?? '~') ? -1 : 1;
}

function machineOf(pod: Pod): { readonly name: string; readonly addresses: readonly string[] } {
  return { name: pod.name, addresses: pod.addresses.map((address) => address.ip) };
}

async function listen(machine: NetworkNamespace, pod: Pod): Promise<void> {
  await machine.listen(
    ...pod.namedPorts.map(({ protocol, port }) => ({ protocol: transports[protocol], port })),
  );
}
