import type { ServiceEndpoint } from './service-endpoints.ts';

/** Where this process runs, as far as choosing endpoints goes. */
export interface Topology {
  readonly nodeName: string;
  /** Label `topology.kubernetes.io/zone` of the node. */
  readonly zone: string | undefined;
}

/** What a service port does with its endpoints. */
export interface EndpointUse {
  readonly internalPolicyLocal: boolean;
  readonly externalPolicyLocal: boolean;
  readonly externallyAccessible: boolean;
}

export interface SelectedEndpoints {
  /** For traffic with policy Cluster. */
  readonly cluster: readonly ServiceEndpoint[];
  /** For traffic with policy Local. */
  readonly local: readonly ServiceEndpoint[];
  /** Everything that some traffic may reach: the union of both. */
  readonly reachable: readonly ServiceEndpoint[];
  /** Whether any endpoint anywhere could take traffic, here or on another node. */
  readonly hasEndpoints: boolean;
}

const none: readonly ServiceEndpoint[] = [];

/**
 * Which endpoints take traffic on this node.
 *
 * Ready ones; among them, for policy Cluster, those that the topology hints give to this node or zone, provided that every
 * ready endpoint carries such hints. When none is ready, those that still serve while they terminate (KEP-1669).
 * Policy Local never looks at hints.
 */
export function selectEndpoints(
  endpoints: readonly ServiceEndpoint[],
  use: EndpointUse,
  topology: Topology,
): SelectedEndpoints {
  const usesCluster = !use.internalPolicyLocal || use.externallyAccessible;
  const usesLocal = use.internalPolicyLocal || (use.externalPolicyLocal && use.externallyAccessible);
  const cluster = usesCluster ? clusterEndpoints(endpoints, topology) : none;
  const local = usesLocal ? usable(endpoints.filter((endpoint) => endpoint.isLocal)) : none;
  return {
    cluster,
    local,
    reachable: union(cluster, local),
    hasEndpoints: cluster.length > 0 || (usesLocal && usable(endpoints).length > 0),
  };
}

function clusterEndpoints(
  endpoints: readonly ServiceEndpoint[],
  topology: Topology,
): readonly ServiceEndpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  return ready.length > 0 ? nearest(ready, topology) : usable(endpoints);
}

/** Ready endpoints, or else those that serve while terminating. */
function usable(endpoints: readonly ServiceEndpoint[]): readonly ServiceEndpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  return ready.length > 0 ? ready : endpoints.filter((endpoint) => endpoint.serving && endpoint.terminating);
}

/** The hints narrow the choice only if all ready endpoints have them and one of them means this place. */
function nearest(
  ready: readonly ServiceEndpoint[],
  { nodeName, zone }: Topology,
): readonly ServiceEndpoint[] {
  if (ready.every((endpoint) => endpoint.nodeHints.length > 0)) {
    const here = ready.filter((endpoint) => endpoint.nodeHints.includes(nodeName));
    if (here.length > 0) return here;
  }
  if (zone !== undefined && ready.every((endpoint) => endpoint.zoneHints.length > 0)) {
    const here = ready.filter((endpoint) => endpoint.zoneHints.includes(zone));
    if (here.length > 0) return here;
  }
  return ready;
}

function union(
  cluster: readonly ServiceEndpoint[],
  local: readonly ServiceEndpoint[],
): readonly ServiceEndpoint[] {
  if (local.length === 0) return cluster;
  if (cluster.length === 0) return local;
  const known = new Set(cluster.map((endpoint) => endpoint.address));
  const more = local.filter((endpoint) => !known.has(endpoint.address));
  return more.length === 0
    ? cluster
    : [...cluster, ...more].toSorted((a, b) => (a.address < b.address ? -1 : 1));
}
