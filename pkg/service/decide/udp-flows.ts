import type { EndpointSlice, Service } from '../../api/index.ts';
import type { Family } from '../../net/index.ts';
import { type RoutedPort, routedPorts } from './routed-port.ts';

/** Endpoints as `socketText`. */
type Endpoints = ReadonlySet<string>;

/**
 * Where the UDP ports of Services answer in one family, each with the endpoints that an existing flow may be with: those that serve,
 * whether ready, terminating, far or not, so that a flow lives on as a TCP connection would; and those that are ready without
 * serving, which a Service that publishes them sends traffic to.
 */
export interface UdpFrontends {
  /** Cluster IPs, load-balancer addresses and external IPs, as `socketText`. */
  readonly sockets: ReadonlyMap<string, Endpoints>;
  readonly nodePorts: ReadonlyMap<number, Endpoints>;
}

/** What of a tracked flow decides whether it is stale. */
export interface UdpFlow {
  readonly original: { readonly destination: string; readonly destinationPort?: number };
  /** `source` is where the packets really go. */
  readonly reply: { readonly source: string; readonly sourcePort?: number };
}

export interface UdpRouting {
  readonly frontends: UdpFrontends;
  /** Whether node ports answer on this address of the node. */
  readonly isNodePortAddress: (address: string) => boolean;
}

export const noUdpFrontends: UdpFrontends = { sockets: new Map(), nodePorts: new Map() };

/** How frontends and endpoints are known here: address and port, separated so that both families can be read alike. */
function socketText(address: string, port: number | undefined): string {
  return `${address} ${port ?? 0}`;
}

/** The frontends of one Service; none where it has no UDP port that Weir routes in this family. */
export function udpFrontends(
  service: Service | undefined,
  slices: readonly EndpointSlice[],
  family: Family,
): UdpFrontends {
  if (service === undefined || service.ports.every(({ protocol }) => protocol !== 'UDP'))
    return noUdpFrontends;
  const sockets = new Map<string, Endpoints>();
  const nodePorts = new Map<number, Endpoints>();
  for (const port of routedPorts(service, family)) {
    if (port.protocol !== 'UDP') continue;
    const endpoints = liveEndpoints(port, slices);
    for (const address of [port.clusterIP, ...port.loadBalancerIPs, ...port.externalIPs])
      addTo(sockets, socketText(address, port.port), endpoints);
    if (port.nodePort !== 0) addTo(nodePorts, port.nodePort, endpoints);
  }
  return { sockets, nodePorts };
}

/**
 * The frontends of several Services together. One that two Services claim keeps the endpoints of both: only one of them is routed,
 * and its flows must live.
 */
export function mergeUdpFrontends(all: Iterable<UdpFrontends>): UdpFrontends {
  const sockets = new Map<string, Endpoints>();
  const nodePorts = new Map<number, Endpoints>();
  for (const frontends of all) {
    for (const [socket, endpoints] of frontends.sockets) addTo(sockets, socket, endpoints);
    for (const [nodePort, endpoints] of frontends.nodePorts) addTo(nodePorts, nodePort, endpoints);
  }
  return { sockets, nodePorts };
}

export function equalUdpFrontends(a: UdpFrontends, b: UdpFrontends): boolean {
  return equalMaps(a.sockets, b.sockets) && equalMaps(a.nodePorts, b.nodePorts);
}

/**
 * Whether the flow goes where its frontend leads to no longer, so that it has to be forgotten for its next packet to find the way anew.
 *
 * `former` are the frontends, with their endpoints, as they may have been when the flow began. They alone tell the flows of
 * a frontend that is gone: nobody knows whom its address and port belong to now, so that what goes elsewhere is not touched. A flow that
 * is not translated at all began before the rules were there. It is stale where the rules would now send it to an endpoint.
 * On addresses on which node ports do not answer, the number of one means nothing: other machines have the same node ports,
 * and flows to them pass through here.
 */
export function isStaleFlow({ original, reply }: UdpFlow, now: UdpRouting, former: UdpFrontends): boolean {
  const port = original.destinationPort ?? 0;
  const socket = socketText(original.destination, port);
  const endpoint = socketText(reply.source, reply.sourcePort);
  const isTranslated = endpoint !== socket;
  const current =
    now.frontends.sockets.get(socket) ??
    (now.isNodePortAddress(original.destination) ? now.frontends.nodePorts.get(port) : undefined);
  if (current !== undefined) return !current.has(endpoint) && (isTranslated || current.size > 0);
  if (!isTranslated || now.frontends.nodePorts.get(port)?.has(endpoint) === true) return false;
  return [former.sockets.get(socket), former.nodePorts.get(port)].some(
    (known) => known?.has(endpoint) === true,
  );
}

function liveEndpoints(port: RoutedPort, slices: readonly EndpointSlice[]): Endpoints {
  const endpoints = new Set<string>();
  for (const slice of slices) {
    if (slice.family !== port.family) continue;
    for (const { name, protocol, port: number } of slice.ports) {
      if (name !== port.name || protocol !== port.protocol) continue;
      for (const { ip, ready, serving } of slice.endpoints)
        if (ready || serving) endpoints.add(socketText(ip, number));
    }
  }
  return endpoints;
}

function addTo<Key>(frontends: Map<Key, Endpoints>, key: Key, endpoints: Endpoints): void {
  const known = frontends.get(key);
  frontends.set(key, known === undefined ? endpoints : new Set([...known, ...endpoints]));
}

function equalMaps<Key>(a: ReadonlyMap<Key, Endpoints>, b: ReadonlyMap<Key, Endpoints>): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(([key, endpoints]) => {
    const other = b.get(key);
    return other?.size === endpoints.size && [...endpoints].every((endpoint) => other.has(endpoint));
  });
}
