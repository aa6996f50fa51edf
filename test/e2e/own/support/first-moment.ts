import type { LabNode } from '../../../lab/settings.ts';
import type { NetworkNamespace } from '../../../support/network-namespace.ts';
import { podLink } from '../../../support/world-layout.ts';
import type { KubeManifest } from './objects.ts';

export interface FirstMomentPod {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  readonly role: string;
  /** Run by bash before all else in the pod, which fails where it does not end with 0. */
  readonly script: string;
}

/** A pod that uses its network from its first moment on, and is ready when it has done so. */
export function firstMomentPod({ name, namespace, node, role, script }: FirstMomentPod): KubeManifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { role } },
    spec: {
      nodeName: node,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 0,
      initContainers: [{ name: 'first', image: 'busybox', command: ['bash', '-c', script] }],
      containers: [{ name: 'idle', image: 'registry.k8s.io/pause:3.10' }],
    },
  };
}

/** Tries for some three seconds, by UDP and TCP, and fails if one connection came about. */
export function tryAll(addresses: readonly string[], port: number): string {
  const lines = addresses.flatMap((address) => [
    `echo first >/dev/udp/${address}/${port}`,
    `timeout 0.1 bash -c ': </dev/tcp/${address}/${port}' && reached=1`,
  ]);
  return ['reached=0', 'for round in {1..15}; do', ...lines, 'done', 'exit $reached'].join('\n');
}

/** Connects to each address once; a first packet that is dropped has two more chances. */
export function reachOnce(addresses: readonly string[], port: number): string {
  return addresses.map((address) => `timeout 5 bash -c ': </dev/tcp/${address}/${port}'`).join(' && ');
}

/** Addresses that a node's next pods will get, when it is known how many it has had. */
export function comingAddresses(
  nodes: readonly LabNode[],
  node: string,
  taken: readonly string[],
  count: number,
): readonly string[] {
  const index = nodes.findIndex(({ name }) => name === node);
  const cidrs = nodes[index]?.podCidrs ?? [];
  const at = (place: number): readonly string[] => podLink({ name: '' }, cidrs, index, place).addresses;
  const last = Array.from({ length: 240 }, (_, place) => place).findLast((place) =>
    at(place).some((address) => taken.includes(address)),
  );
  return Array.from({ length: count }, (_, place) => at((last ?? -1) + 1 + place)).flat();
}

/** Counts, in the network where they arrive, packets to a port that no connection was there for. */
export async function countArrivals(network: NetworkNamespace, port: number): Promise<() => Promise<number>> {
  const tools = ['iptables', 'ip6tables'];
  for (const tool of tools) {
    for (const protocol of ['tcp', 'udp'])
      await network.run(tool, ['-w', '-A', 'INPUT', '-p', protocol, '--dport', `${port}`]);
  }
  return async () => {
    const saved = await Promise.all(tools.map((tool) => network.run(`${tool}-save`, ['-c', '-t', 'filter'])));
    const counts = saved.flatMap(({ stdout }) => [
      ...stdout.matchAll(new RegExp(`^\\[(\\d+):\\d+\\] -A INPUT .*--dport ${port}$`, 'gmu')),
    ]);
    if (counts.length !== 2 * tools.length) throw new Error(`the counting rules of port ${port} are gone`);
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  };
}
