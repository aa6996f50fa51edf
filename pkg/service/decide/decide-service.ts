import type { EndpointSlice, Service } from '../../api/index.ts';
import type { Family } from '../../net/index.ts';
import { type RoutedPort, routedPorts } from './routed-port.ts';
import { type SelectedEndpoints, selectEndpoints, type Topology } from './select-endpoints.ts';
import { serviceEndpoints } from './service-endpoints.ts';

/**
 * What becomes of traffic that reaches no endpoint. `reject`: there is none anywhere, so the client should know at once.
 * `drop`: there are some on other nodes; a load balancer may still send here, and an answer would break its clients
 * (kubernetes/kubernetes#121371).
 */
export type Refusal = 'reject' | 'drop';

/** What the node does with one service port. */
export interface ServicePortDecision {
  readonly port: RoutedPort;
  readonly endpoints: SelectedEndpoints;
  /** For the cluster IP; `undefined` when it is routed. */
  readonly internalRefusal: Refusal | undefined;
  /**
   * For the node port and the external and load-balancer addresses; `undefined` when they are routed for everybody. With
   * `drop`, traffic from this node and its pods is routed all the same, and the rest is dropped.
   */
  readonly externalRefusal: Refusal | undefined;
}

/** Decides for all ports of a Service in one family. Pure; the result depends on nothing but the arguments. */
export function decideService(
  service: Service,
  slices: readonly EndpointSlice[],
  family: Family,
  topology: Topology,
): readonly ServicePortDecision[] {
  return routedPorts(service, family).map((port) => {
    const all = serviceEndpoints(port, slices, topology.nodeName);
    const endpoints = selectEndpoints(all, port, topology);
    return {
      port,
      endpoints,
      internalRefusal: refusal(endpoints, port.internalPolicyLocal),
      externalRefusal: port.externallyAccessible ? refusal(endpoints, port.externalPolicyLocal) : undefined,
    };
  });
}

function refusal(endpoints: SelectedEndpoints, policyLocal: boolean): Refusal | undefined {
  if (!endpoints.hasEndpoints) return 'reject';
  return policyLocal && endpoints.local.length === 0 ? 'drop' : undefined;
}
