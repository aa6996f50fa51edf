import {
  type NamespacedName,
  namespacedName,
  type Protocol,
  type Service,
  type ServicePort,
} from '../../api/index.ts';
import { type Family, familyOf } from '../../net/index.ts';

/** One port of a Service for one address family: what kube-proxy calls a service port. */
export interface RoutedPort {
  readonly service: NamespacedName;
  /** `namespace/name`, with `:port` when the port has a name; kube-proxy hashes and logs this text. */
  readonly id: string;
  readonly name: string;
  readonly family: Family;
  readonly protocol: Protocol;
  readonly clusterIP: string;
  readonly port: number;
  /** 0 when there is none. */
  readonly nodePort: number;
  readonly externalIPs: readonly string[];
  readonly loadBalancerIPs: readonly string[];
  /** Who may use the load-balancer addresses; empty: everybody. */
  readonly sourceRanges: readonly string[];
  readonly affinitySeconds: number | undefined;
  readonly internalPolicyLocal: boolean;
  readonly externalPolicyLocal: boolean;
  readonly externallyAccessible: boolean;
  /** 0 when there is none. */
  readonly healthCheckNodePort: number;
}

/**
 * The ports of `service` in one family, as kube-proxy derives them. None for headless and ExternalName Services,
 * Services without a cluster IP of the family, and Services that another proxy serves.
 */
export function routedPorts(service: Service, family: Family): readonly RoutedPort[] {
  const clusterIP = service.clusterIPs[family];
  if (clusterIP === undefined || service.headless || service.type === 'ExternalName' || service.otherProxy)
    return [];
  const ofFamily = (text: string): boolean => familyOf(text) === family;
  const externalIPs = service.externalIPs.filter(ofFamily);
  const loadBalancerIPs = service.loadBalancerIPs.filter(ofFamily);
  const externalPolicyLocal = hasLocalExternalPolicy(service);
  const shared = {
    service: namespacedName(service.namespace, service.name),
    family,
    clusterIP,
    externalIPs,
    loadBalancerIPs,
    sourceRanges: service.loadBalancerSourceRanges.filter(ofFamily),
    affinitySeconds: service.affinitySeconds,
    internalPolicyLocal: service.internalTrafficPolicy === 'Local',
    externalPolicyLocal,
    healthCheckNodePort:
      service.type === 'LoadBalancer' && externalPolicyLocal ? service.healthCheckNodePort : 0,
  };
  return service.ports.map((port) => ({
    ...shared,
    id: portId(service, port),
    name: port.name,
    protocol: port.protocol,
    port: port.port,
    nodePort: port.nodePort,
    externallyAccessible: port.nodePort !== 0 || loadBalancerIPs.length > 0 || externalIPs.length > 0,
  }));
}

/** externalTrafficPolicy counts only where traffic can come from outside at all. */
function hasLocalExternalPolicy(service: Service): boolean {
  if (service.externalTrafficPolicy !== 'Local') return false;
  return service.type !== 'ClusterIP' || service.externalIPs.length > 0;
}

function portId(service: Service, port: ServicePort): string {
  const name = `${service.namespace}/${service.name}`;
  return port.name === '' ? name : `${name}:${port.name}`;
}
