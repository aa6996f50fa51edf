export { decideService, type Refusal, type ServicePortDecision } from './decide-service.ts';
export {
  type DetectLocalMode,
  type DetectLocalOptions,
  type LocalDetector,
  localDetector,
} from './local-detector.ts';
export {
  expandNodePortAddresses,
  type NodeAddresses,
  type NodePortAddresses,
  type NodePortOptions,
  nodePortAddresses,
  servesLocalhostNodePorts,
} from './node-port-addresses.ts';
export { type RoutedPort, routedPorts } from './routed-port.ts';
export type { Topology } from './select-endpoints.ts';
export type { ServiceEndpoint } from './service-endpoints.ts';
export { type ServiceHealthPort, serviceHealthPort } from './service-health-ports.ts';
export {
  equalUdpFrontends,
  isStaleFlow,
  mergeUdpFrontends,
  noUdpFrontends,
  type UdpFrontends,
  type UdpRouting,
  udpFrontends,
} from './udp-flows.ts';
