import type { Endpoint, EndpointSlice } from '../../api/index.ts';
import type { RoutedPort } from './routed-port.ts';

/** One address and port behind a service port. */
export interface ServiceEndpoint {
  readonly ip: string;
  readonly port: number;
  /** `ip:port`, or `[ip]:port` for IPv6: the endpoint's identity. */
  readonly address: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** On the node this process runs on. */
  readonly isLocal: boolean;
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

/**
 * All endpoints of a service port, sorted by address text (which fixes the order of rules), each address once.
 *
 * Two entries of one address happen when a pod's address is used again while the old pod is still listed as
 * terminating, or while an endpoint moves between slices: one that is not terminating wins, then one that is ready.
 */
export function serviceEndpoints(
  port: RoutedPort,
  slices: readonly EndpointSlice[],
  nodeName: string,
): readonly ServiceEndpoint[] {
  const byAddress = new Map<string, ServiceEndpoint>();
  for (const slice of slices) {
    if (slice.family !== port.family) continue;
    for (const slicePort of slice.ports) {
      if (slicePort.name !== port.name || slicePort.protocol !== port.protocol) continue;
      for (const endpoint of slice.endpoints) {
        const candidate = toServiceEndpoint(endpoint, slicePort.port, port, nodeName);
        const present = byAddress.get(candidate.address);
        if (present === undefined || isBetter(candidate, present))
          byAddress.set(candidate.address, candidate);
      }
    }
  }
  return [...byAddress.values()].toSorted((a, b) => (a.address < b.address ? -1 : 1));
}

/** Of two that rank the same, the order in which the slices came must not decide. */
function isBetter(candidate: ServiceEndpoint, present: ServiceEndpoint): boolean {
  const difference = rank(candidate) - rank(present);
  return difference > 0 || (difference === 0 && JSON.stringify(candidate) < JSON.stringify(present));
}

function rank(endpoint: ServiceEndpoint): number {
  return (endpoint.terminating ? 0 : 4) + (endpoint.ready ? 2 : 0) + (endpoint.serving ? 1 : 0);
}

function toServiceEndpoint(
  endpoint: Endpoint,
  number: number,
  port: RoutedPort,
  nodeName: string,
): ServiceEndpoint {
  return {
    ip: endpoint.ip,
    port: number,
    address: port.family === 'IPv6' ? `[${endpoint.ip}]:${number}` : `${endpoint.ip}:${number}`,
    ready: endpoint.ready,
    serving: endpoint.serving,
    terminating: endpoint.terminating,
    isLocal: endpoint.nodeName === nodeName,
    zoneHints: endpoint.zoneHints,
    nodeHints: endpoint.nodeHints,
  };
}
