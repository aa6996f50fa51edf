import type { Family } from '../../pkg/net/index.ts';
import type { Transport } from './agent/protocol.ts';

/** A Kubernetes object as `kubectl apply` takes it. */
export type Manifest = Readonly<Record<string, unknown>>;

const namespace = 'default';
const families = ['IPv4', 'IPv6'] as const;
export const transports = ['tcp', 'udp', 'sctp'] as const satisfies readonly Transport[];

/** Where a pod of the tests listens, and what Services lead to unless told otherwise. */
export const targetPort = 8080;
export const servicePort = 80;

export interface ServiceSpec {
  readonly name: string;
  /** Tells the addresses and node ports, see `frontendsOf`. At most 250. */
  readonly number: number;
  /** `all` (default): cluster IP, node ports, a load-balancer address and an external IP. */
  readonly frontends?: 'all' | 'cluster-ip';
  readonly externalTrafficPolicy?: 'Cluster' | 'Local';
  readonly internalTrafficPolicy?: 'Cluster' | 'Local';
  readonly loadBalancerSourceRanges?: readonly string[];
  readonly affinitySeconds?: number;
  readonly healthCheckNodePort?: number;
  /** Names of TCP ports 80, 81, …, instead of one port for each of TCP, UDP and SCTP. */
  readonly tcpPorts?: readonly string[];
}

export interface Frontends {
  readonly clusterIP: string;
  readonly loadBalancerIP: string;
  readonly externalIP: string;
  readonly nodePort: number;
}

/** The addresses of the Service with this number. TCP, UDP and SCTP share a node port. */
export function frontendsOf(number: number, family: Family): Frontends {
  const nodePort = 30_000 + number;
  const last = number.toString(16);
  return family === 'IPv4'
    ? {
        clusterIP: `10.96.0.${number}`,
        loadBalancerIP: `203.0.113.${number}`,
        externalIP: `198.51.100.${number}`,
        nodePort,
      }
    : {
        clusterIP: `fd00:10:96::${last}`,
        loadBalancerIP: `2001:db8:1::${last}`,
        externalIP: `2001:db8:2::${last}`,
        nodePort,
      };
}

/** A dual-stack Service. */
export function serviceManifest(spec: ServiceSpec): Manifest {
  const everywhere = spec.frontends !== 'cluster-ip';
  const frontends = families.map((family) => frontendsOf(spec.number, family));
  const clusterIPs = frontends.map((one) => one.clusterIP);
  const external = {
    externalIPs: frontends.map((one) => one.externalIP),
    externalTrafficPolicy: spec.externalTrafficPolicy ?? 'Cluster',
    ...(spec.loadBalancerSourceRanges === undefined
      ? {}
      : { loadBalancerSourceRanges: spec.loadBalancerSourceRanges }),
    ...(spec.healthCheckNodePort === undefined ? {} : { healthCheckNodePort: spec.healthCheckNodePort }),
  };
  const affinity = {
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: spec.affinitySeconds } },
  };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: spec.name, namespace },
    spec: {
      type: everywhere ? 'LoadBalancer' : 'ClusterIP',
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: families,
      internalTrafficPolicy: spec.internalTrafficPolicy ?? 'Cluster',
      ports: servicePorts(spec, everywhere),
      ...(everywhere ? external : {}),
      ...(spec.affinitySeconds === undefined ? {} : affinity),
    },
    status: everywhere
      ? { loadBalancer: { ingress: frontends.map((one) => ({ ip: one.loadBalancerIP })) } }
      : {},
  };
}

function servicePorts({ tcpPorts, number }: ServiceSpec, everywhere: boolean): readonly Manifest[] {
  const nodePort = everywhere ? { nodePort: 30_000 + number } : {};
  if (tcpPorts === undefined) {
    return transports.map((name) => ({ name, protocol: name.toUpperCase(), port: servicePort, ...nodePort }));
  }
  return tcpPorts.map((name, index) => ({ name, protocol: 'TCP', port: servicePort + index }));
}

export interface EndpointSpec {
  readonly pod: { readonly addresses: readonly string[] };
  readonly node: string;
  /** Default: ready and serving. */
  readonly conditions?: {
    readonly ready?: boolean;
    readonly serving?: boolean;
    readonly terminating?: boolean;
  };
  readonly zones?: readonly string[];
  readonly nodes?: readonly string[];
}

interface SlicePort {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
}

const defaultPorts: readonly SlicePort[] = transports.map((name) => ({
  name,
  protocol: name.toUpperCase(),
  port: targetPort,
}));

/** One slice of each family. `part` tells the slices of one Service apart. */
export function endpointSlices(
  service: string,
  endpoints: readonly EndpointSpec[],
  ports: readonly SlicePort[] = defaultPorts,
  part = 0,
): readonly Manifest[] {
  return families.map((family) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${service}-${family.toLowerCase()}-${part}`,
      namespace,
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType: family,
    ports,
    endpoints: endpoints.map((endpoint) => endpointOf(endpoint, family)),
  }));
}

function endpointOf({ pod, node, conditions, zones, nodes }: EndpointSpec, family: Family): Manifest {
  const hints = {
    ...(zones === undefined ? {} : { forZones: zones.map((name) => ({ name })) }),
    ...(nodes === undefined ? {} : { forNodes: nodes.map((name) => ({ name })) }),
  };
  return {
    addresses: pod.addresses.filter((address) => address.includes(':') === (family === 'IPv6')).slice(0, 1),
    nodeName: node,
    conditions: { ready: true, serving: true, terminating: false, ...conditions },
    ...(Object.keys(hints).length === 0 ? {} : { hints }),
  };
}

export function nodeManifest(name: string, addresses: readonly string[], zone?: string): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone } },
    spec: {},
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  };
}
