import type { Family } from '../../../pkg/net/index.ts';
import type { Transport } from '../../support/agent/protocol.ts';
import type { NetworkNamespace } from '../../support/network-namespace.ts';
import { cidrOf } from '../../support/random-service-world.ts';
import { type Frontends, frontendsOf } from '../../support/service-manifests.ts';
import { families, type PodName, podNodes } from '../../support/service-world.ts';
import {
  type ClusterState,
  numberOf,
  type PortKind,
  type RandomEndpoint,
  type RandomService,
} from './cluster-state.ts';

/** A Service or EndpointSlice as the API server takes it. */
export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: 'Service' | 'EndpointSlice';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  /** What the API server takes by a request of its own. */
  readonly status?: unknown;
  readonly [field: string]: unknown;
}

/** What the machines must tell of themselves. */
export interface Machines {
  readonly node: NetworkNamespace;
  readonly outside: NetworkNamespace;
  pod(name: PodName): NetworkNamespace;
}

interface Target {
  readonly protocol: Transport;
  readonly target: number;
  /** Of the pods whose ports have other numbers. */
  readonly otherTarget: number;
}

/** Where everybody listens, and where only some do. */
const commonPort = 8080;
export const rarePort = 8081;
export const rarePods: readonly PodName[] = ['b', 'd'];

export const targets: Readonly<Record<PortKind, Target>> = {
  web: { protocol: 'tcp', target: commonPort, otherTarget: rarePort },
  admin: { protocol: 'tcp', target: rarePort, otherTarget: commonPort },
  dns: { protocol: 'udp', target: commonPort, otherTarget: rarePort },
  assoc: { protocol: 'sctp', target: commonPort, otherTarget: commonPort },
};

export const namespace = 'default';
const firstNumber = 100;
const sharedNumber = 99;
export const conditions = {
  ready: { ready: true, serving: true, terminating: false },
  unsaid: {},
  starting: { ready: false, serving: false, terminating: false },
  ending: { ready: false, serving: true, terminating: true },
  ended: { ready: false, serving: false, terminating: true },
} as const;

/** Addresses that are those of one Service, and those that it may share with others. */
export function addressesOf(
  number: number,
  family: Family,
): { readonly own: Frontends; readonly shared: Frontends } {
  return { own: frontendsOf(firstNumber + number, family), shared: frontendsOf(sharedNumber, family) };
}

/** The Service's port: TCP, UDP and SCTP have one number, as those of a DNS server. */
export function portOf(number: number, kind: PortKind, ownPorts: boolean): number {
  return (ownPorts ? 1000 + 10 * number : 80) + offsetOf(kind);
}

/** In the range that the API server does not give to others. */
export function nodePortOf(number: number, kind: PortKind): number {
  return 30_000 + 4 * number + offsetOf(kind);
}

/** Where load balancers ask whether the node has endpoints of the Service. */
export function healthPortOf(number: number): number {
  return 30_050 + number;
}

function offsetOf(kind: PortKind): number {
  return kind === 'admin' ? 1 : 0;
}

export function objectsOf(state: ClusterState, machines: Machines): readonly ApiObject[] {
  return state.flatMap((_, place) => objectsAt(state, place, machines));
}

/** The Service of a place and its slices. */
export function objectsAt(state: ClusterState, place: number, machines: Machines): readonly ApiObject[] {
  const service = state[place];
  if (service === undefined) return [];
  const who = { name: `s${place}`, number: numberOf(state, place) };
  return [serviceOf(service, who, machines), ...slicesOf(service, who.name, machines)];
}

/** A Service that differs in this label from an earlier one is another Service, and takes its place. */
export const identityLabel = 'differential/identity';

interface Who {
  readonly name: string;
  readonly number: number;
}

function serviceOf(random: RandomService, { name, number }: Who, machines: Machines): ApiObject {
  const { type, families } = random;
  const metadata = {
    name,
    namespace,
    labels: {
      [identityLabel]: `${number}-${random.life}`,
      ...(random.otherProxy ? { 'service.kubernetes.io/service-proxy-name': 'another' } : {}),
    },
  };
  const common = { apiVersion: 'v1', kind: 'Service', metadata } as const;
  const hasNodePorts = type === 'NodePort' || (type === 'LoadBalancer' && random.loadBalancerNodePorts);
  const ports = random.ports.map((kind) => ({
    name: kind,
    protocol: targets[kind].protocol.toUpperCase(),
    port: portOf(number, kind, random.ownPorts),
    targetPort: kind,
    ...(hasNodePorts ? { nodePort: nodePortOf(number, kind) } : {}),
  }));
  if (type === 'ExternalName') return { ...common, spec: { type, externalName: 'example.org', ports } };
  const isHeadless = type === 'headless';
  const clusterIPs = isHeadless
    ? ['None']
    : families.map((family) => addressesOf(number, family).own.clusterIP);
  const externalIPs = isHeadless ? [] : externalIPsOf(random, number, machines);
  const isExternal = type === 'NodePort' || type === 'LoadBalancer' || externalIPs.length > 0;
  const isLocal = type === 'LoadBalancer' && random.external === 'Local';
  return {
    ...common,
    spec: {
      type: isHeadless ? 'ClusterIP' : type,
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: families,
      ipFamilyPolicy: families.length === 2 ? 'RequireDualStack' : 'SingleStack',
      ports,
      internalTrafficPolicy: random.internal,
      sessionAffinity: random.affinity ? 'ClientIP' : 'None',
      ...(isExternal ? { externalTrafficPolicy: random.external } : {}),
      ...(isLocal ? { healthCheckNodePort: healthPortOf(number) } : {}),
      ...(externalIPs.length > 0 ? { externalIPs } : {}),
      ...(type === 'LoadBalancer' ? loadBalancerSpec(random, machines) : {}),
    },
    ...(type === 'LoadBalancer' ? { status: { loadBalancer: { ingress: ingressOf(random, number) } } } : {}),
  };
}

function externalIPsOf(random: RandomService, number: number, { node }: Machines): readonly string[] {
  return random.families.flatMap((family) => {
    const { own, shared } = addressesOf(number, family);
    const addresses = { own: own.externalIP, shared: shared.externalIP, node: node.address(family) };
    return random.externalIPs.map((which) => addresses[which]);
  });
}

function loadBalancerSpec(random: RandomService, machines: Machines) {
  const loadBalancerSourceRanges = random.ranges.flatMap((range) =>
    random.families.map((family) => cidrOf(range, family, machines)),
  );
  return {
    allocateLoadBalancerNodePorts: random.loadBalancerNodePorts,
    ...(loadBalancerSourceRanges.length > 0 ? { loadBalancerSourceRanges } : {}),
  };
}

function ingressOf({ loadBalancer, families, ipMode }: RandomService, number: number) {
  if (loadBalancer === 'none') return [];
  return families.map((family) => {
    const { own, shared } = addressesOf(number, family);
    return { ip: { own, shared }[loadBalancer].loadBalancerIP, ipMode };
  });
}

function slicesOf(random: RandomService, service: string, machines: Machines): readonly ApiObject[] {
  const isOther = (index: number): boolean => random.split && index % 2 === 1;
  return families.flatMap((family) =>
    [false, true].map((other) => {
      const listed = random.endpoints.filter((_, index) => isOther(index) === other);
      return sliceOf(
        { name: `${service}-${family.toLowerCase()}-${other ? 1 : 0}`, service, family },
        random.ports.map((kind) => ({
          name: kind,
          protocol: targets[kind].protocol.toUpperCase(),
          port: other ? targets[kind].otherTarget : targets[kind].target,
        })),
        listed.flatMap((endpoint) => endpointsOf(endpoint, family, machines)),
      );
    }),
  );
}

export function sliceOf(
  { name, service, family }: { readonly name: string; readonly service: string; readonly family: Family },
  ports: readonly unknown[],
  endpoints: readonly unknown[],
): ApiObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace, labels: { 'kubernetes.io/service-name': service } },
    addressType: family,
    ports,
    endpoints,
  };
}

function endpointsOf(random: RandomEndpoint, family: Family, machines: Machines): readonly unknown[] {
  const { pod, state, zones, nodes } = random;
  const hints = {
    ...(zones.length === 0 ? {} : { forZones: zones.map((name) => ({ name })) }),
    ...(nodes.length === 0 ? {} : { forNodes: nodes.map((name) => ({ name })) }),
  };
  const endpoint = {
    addresses: [machines.pod(pod).address(family)],
    conditions: conditions[state],
    ...(random.nodeNamed ? { nodeName: podNodes[pod] } : {}),
    ...(Object.keys(hints).length === 0 ? {} : { hints }),
  };
  return random.succeeds ? [{ ...endpoint, conditions: conditions.ending }, endpoint] : [endpoint];
}
