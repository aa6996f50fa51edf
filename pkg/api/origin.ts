/** A field of an object that something in the kernel comes from. */
export type Origin = ServiceOrigin | EndpointOrigin | PodOrigin | PolicyOrigin;

interface OriginOf<Kind extends string, Field extends string> {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  /** Path in the object, without places in lists. */
  readonly field: Field;
  /** What of that field: an address, a block, a number, a port's name. Empty for the field as a whole. */
  readonly value: string;
}

export type ServiceOrigin = OriginOf<
  'Service',
  | 'spec.clusterIPs'
  | 'spec.externalIPs'
  | 'status.loadBalancer.ingress'
  | 'spec.loadBalancerSourceRanges'
  | 'spec.ports'
  | 'spec.ports.nodePort'
  | 'spec.healthCheckNodePort'
  | 'spec.sessionAffinity'
>;

export type EndpointOrigin = OriginOf<'EndpointSlice', 'endpoints.addresses'>;

export type PodOrigin = OriginOf<'Pod', 'status.podIPs'>;

export type PolicyOrigin = OriginOf<'NetworkPolicy', 'spec.podSelector' | 'spec.ingress' | 'spec.egress'>;
