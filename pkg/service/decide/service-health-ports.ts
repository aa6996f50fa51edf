import type { EndpointSlice, Service } from '../../api/index.ts';
import type { Family } from '../../net/index.ts';
import { routedPorts } from './routed-port.ts';
import { serviceEndpoints } from './service-endpoints.ts';

/** What a Service's health-check node port says to load balancers. */
export interface ServiceHealthPort {
  readonly port: number;
  /** Distinct addresses of ready endpoints on this node, over all ports of the Service. */
  readonly localEndpoints: number;
}

/**
 * The health-check node port of a Service in one family; `undefined` where it has none. Endpoints that serve while they
 * terminate don't count, unlike for traffic: load balancers shall leave the node while it still serves what is connected.
 */
export function serviceHealthPort(
  service: Service,
  slices: readonly EndpointSlice[],
  family: Family,
  nodeName: string,
): ServiceHealthPort | undefined {
  const ports = routedPorts(service, family);
  const port = ports[0]?.healthCheckNodePort ?? 0;
  if (port === 0) return undefined;
  const addresses = new Set<string>();
  for (const routed of ports) {
    for (const { ip, isLocal, ready } of serviceEndpoints(routed, slices, nodeName))
      if (isLocal && ready) addresses.add(ip);
  }
  return { port, localEndpoints: addresses.size };
}
