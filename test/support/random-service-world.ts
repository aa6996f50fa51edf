import * as fc from 'fast-check';
import type { Family } from '../../pkg/net/index.ts';
import type { Transport } from './agent/protocol.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import {
  type EndpointSpec,
  endpointSlices,
  frontendsOf,
  type Manifest,
  nodeManifest,
  serviceManifest,
  targetPort,
} from './service-manifests.ts';
import { clusterCidrs, families, type PodName, podNodes, protocols } from './service-world.ts';
import type { PodNetworkMode } from './world-layout.ts';

/** All that a random world of the Service tests says. Addresses follow from the place of a Service in the list. */
export interface RandomServiceWorld {
  readonly services: readonly RandomService[];
  readonly detector: 'ClusterCIDR' | 'NodeCIDR' | 'interface' | 'none';
  readonly masqueradeAll: boolean;
  readonly nodePortAddresses: 'all' | 'primary' | 'lan' | 'other family';
  readonly localhostNodePorts: boolean;
  readonly zone: string | undefined;
  /** Chooses which of all possible packets are sent. */
  readonly packets: number;
}

interface RandomService {
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'headless' | 'ExternalName';
  readonly families: readonly Family[];
  readonly protocols: readonly Transport[];
  readonly external: 'Cluster' | 'Local';
  readonly internal: 'Cluster' | 'Local';
  readonly ipMode: 'VIP' | 'Proxy';
  /** Of its own, and one that several Services may claim. */
  readonly externalIPs: readonly ('own' | 'shared')[];
  readonly ranges: readonly Range[];
  readonly affinity: boolean;
  readonly otherProxy: boolean;
  readonly endpoints: readonly RandomEndpoint[];
  /** How many ports of each pod are endpoints; with very many the choice takes two steps. */
  readonly targets: number;
}

/** Whom a Service's source range admits. */
export type Range = 'outside' | 'node' | 'pods' | 'half' | 'everybody';

interface RandomEndpoint {
  readonly pod: PodName;
  readonly state: keyof typeof conditions;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

const conditions = {
  ready: { ready: true, serving: true, terminating: false },
  starting: { ready: false, serving: false, terminating: false },
  ending: { ready: false, serving: true, terminating: true },
  ended: { ready: false, serving: false, terminating: true },
} as const;

export const mostTargets = 20;
const firstNumber = 100;
export const sharedNumber = 99;

function often<T>(usual: T, weight: number, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: fc.constant(usual), weight }, { arbitrary: other, weight: 1 });
}

const policy = fc.constantFrom('Cluster' as const, 'Local' as const);

const endpoint: fc.Arbitrary<RandomEndpoint> = fc.record({
  pod: fc.constantFrom(...(Object.keys(podNodes) as PodName[])),
  state: often<RandomEndpoint['state']>('ready', 2, fc.constantFrom('starting', 'ending', 'ended')),
  zones: often<readonly string[]>([], 1, fc.subarray(['z1', 'z2'])),
  nodes: often<readonly string[]>([], 4, fc.subarray(['node-a', 'node-b'])),
});

const service: fc.Arbitrary<RandomService> = fc.record({
  type: fc.oneof<fc.WeightedArbitrary<RandomService['type']>[]>(
    { arbitrary: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'LoadBalancer'), weight: 12 },
    { arbitrary: fc.constantFrom('headless', 'ExternalName'), weight: 1 },
  ),
  families: often<readonly Family[]>(families, 3, fc.constantFrom<readonly Family[]>(['IPv4'], ['IPv6'])),
  protocols: fc.subarray<Transport>([...protocols], { minLength: 1 }),
  external: policy,
  internal: policy,
  ipMode: often<'VIP' | 'Proxy'>('VIP', 5, fc.constant('Proxy')),
  externalIPs: fc.subarray(['own', 'shared'] as const),
  ranges: often<readonly Range[]>([], 1, fc.subarray(['outside', 'node', 'pods', 'half', 'everybody'])),
  affinity: often(false, 4, fc.constant(true)),
  otherProxy: often(false, 12, fc.constant(true)),
  endpoints: fc.array(endpoint, { maxLength: 4 }),
  targets: often(1, 5, fc.constantFrom(2, mostTargets)),
});

export const randomServiceWorld: fc.Arbitrary<RandomServiceWorld> = fc.record({
  services: fc.array(service, { minLength: 1, maxLength: 5 }),
  detector: fc.constantFrom('ClusterCIDR', 'ClusterCIDR', 'NodeCIDR', 'interface', 'none'),
  masqueradeAll: often(false, 3, fc.constant(true)),
  nodePortAddresses: often<RandomServiceWorld['nodePortAddresses']>(
    'all',
    2,
    fc.constantFrom('primary', 'lan', 'other family'),
  ),
  localhostNodePorts: often(true, 3, fc.constant(false)),
  zone: fc.constantFrom('z1', 'z1', undefined),
  packets: fc.integer({ min: 0, max: 0xffff_ffff }),
});

/** Flags of `weir run` as the configuration takes them. */
export function flagsOf(world: RandomServiceWorld, mode: PodNetworkMode): Manifest {
  const byInterface =
    mode === 'bridged'
      ? { detectLocalMode: 'BridgeInterface', podBridgeInterface: 'cni0' }
      : { detectLocalMode: 'InterfaceNamePrefix', podInterfaceNamePrefix: 'veth' };
  const detectors = {
    ClusterCIDR: { clusterCidr: clusterCidrs },
    NodeCIDR: { detectLocalMode: 'NodeCIDR' },
    interface: byInterface,
    none: {},
  };
  const nodePortAddresses = {
    all: '',
    primary: 'primary',
    lan: '172.18.0.0/24,fd00:172:18::/64',
    'other family': 'fd00:172:18::/64',
  };
  return {
    manifests: 'none',
    nodeName: 'node-a',
    ...detectors[world.detector],
    masqueradeAll: world.masqueradeAll,
    nodeportAddresses: nodePortAddresses[world.nodePortAddresses],
    iptablesLocalhostNodeports: world.localhostNodePorts,
  };
}

/** What the world's machines must tell of themselves. */
export interface RandomWorldMachines {
  readonly node: NetworkNamespace;
  readonly outside: NetworkNamespace;
  readonly podCidrs: readonly string[];
  pod(name: PodName): NetworkNamespace;
}

export function numberOf(index: number): number {
  return firstNumber + index;
}

export function manifestsOf(world: RandomServiceWorld, machines: RandomWorldMachines): readonly Manifest[] {
  const node = nodeManifest('node-a', machines.node.addresses, world.zone);
  return [
    { ...node, spec: { podCIDRs: machines.podCidrs } },
    ...world.services.flatMap((service, index) => [
      serviceOf(service, index, machines),
      ...slicesOf(service, index, machines),
    ]),
  ];
}

function serviceOf(random: RandomService, index: number, machines: RandomWorldMachines): Manifest {
  const number = numberOf(index);
  const base = serviceManifest({ name: `s${index}`, number }) as Record<'metadata' | 'spec', Manifest>;
  const { families } = random;
  const clusterIPs = families.map((family) => frontendsOf(number, family).clusterIP);
  const ownType = random.type === 'headless' ? 'ClusterIP' : random.type;
  const hasNodePorts = random.type === 'NodePort' || random.type === 'LoadBalancer';
  const numbers = random.externalIPs.map((which) => (which === 'own' ? number : sharedNumber));
  const ingress = families.map((family) => ({
    ip: frontendsOf(number, family).loadBalancerIP,
    ipMode: random.ipMode,
  }));
  return {
    ...base,
    metadata: {
      ...base.metadata,
      labels: random.otherProxy ? { 'service.kubernetes.io/service-proxy-name': 'another' } : {},
    },
    spec: {
      ...base.spec,
      type: ownType,
      ...(random.type === 'ExternalName' ? { externalName: 'example.org' } : {}),
      clusterIP: random.type === 'headless' ? 'None' : clusterIPs[0],
      clusterIPs: random.type === 'headless' ? ['None'] : clusterIPs,
      ipFamilies: families,
      ports: random.protocols.map((name) => ({
        name,
        protocol: name.toUpperCase(),
        port: 80,
        ...(hasNodePorts ? { nodePort: frontendsOf(number, 'IPv4').nodePort } : {}),
      })),
      externalTrafficPolicy: random.external,
      internalTrafficPolicy: random.internal,
      externalIPs: numbers.flatMap((one) => families.map((family) => frontendsOf(one, family).externalIP)),
      loadBalancerSourceRanges: random.ranges.flatMap((range) =>
        families.map((family) => cidrOf(range, family, machines)),
      ),
      sessionAffinity: random.affinity ? 'ClientIP' : 'None',
    },
    status: random.type === 'LoadBalancer' ? { loadBalancer: { ingress } } : {},
  };
}

/** The source range as a Service writes it. */
export function cidrOf(
  range: Range,
  family: Family,
  { outside, node }: Pick<RandomWorldMachines, 'outside' | 'node'>,
): string {
  const length = family === 'IPv4' ? 32 : 128;
  switch (range) {
    case 'outside':
      return `${outside.address(family)}/${length}`;
    case 'node':
      return `${node.address(family)}/${length}`;
    case 'pods':
      return clusterCidrs.split(',')[families.indexOf(family)] ?? '';
    case 'half':
      return family === 'IPv4' ? '128.0.0.0/1' : 'fd00:172::/32';
    case 'everybody':
      return family === 'IPv4' ? '0.0.0.0/0' : '::/0';
  }
}

function slicesOf(random: RandomService, index: number, machines: RandomWorldMachines): readonly Manifest[] {
  const endpoints = random.endpoints.map(
    ({ pod, state, zones, nodes }): EndpointSpec => ({
      pod: machines.pod(pod),
      node: podNodes[pod],
      conditions: conditions[state],
      zones,
      nodes,
    }),
  );
  return Array.from({ length: random.targets }, (_, target) => {
    const ports = random.protocols.map((name) => ({
      name,
      protocol: name.toUpperCase(),
      port: targetPort + target,
    }));
    return endpointSlices(`s${index}`, endpoints, ports, target);
  }).flat();
}
