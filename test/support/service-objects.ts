import type { Endpoint, EndpointPort, EndpointSlice, Service, ServicePort } from '../../pkg/api/index.ts';
import type { Family } from '../../pkg/net/index.ts';

/** A Service of type ClusterIP, `ns1/svc1`, with one TCP port 80 named `p80`; `changes` say what is different. */
export function service(changes: Partial<Service> = {}): Service {
  return {
    kind: 'Service',
    namespace: 'ns1',
    name: 'svc1',
    uid: '',
    type: 'ClusterIP',
    clusterIPs: { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' },
    headless: false,
    ports: [servicePort()],
    selector: { app: 'svc1' },
    externalIPs: [],
    loadBalancerIPs: [],
    loadBalancerSourceRanges: [],
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    affinitySeconds: undefined,
    healthCheckNodePort: 0,
    publishNotReadyAddresses: false,
    otherProxy: false,
    ...changes,
  };
}

export function servicePort(changes: Partial<ServicePort> = {}): ServicePort {
  return { name: 'p80', protocol: 'TCP', port: 80, nodePort: 0, targetPort: 8080, ...changes };
}

/** A ready endpoint; `flags` from `RST`: ready, serving, terminating. */
export function endpoint(
  ip: string,
  changes: Partial<Endpoint> & { readonly flags?: string } = {},
): Endpoint {
  const { flags = 'RS', ...rest } = changes;
  return {
    ip,
    ready: flags.includes('R'),
    serving: flags.includes('S'),
    terminating: flags.includes('T'),
    nodeName: undefined,
    zoneHints: [],
    nodeHints: [],
    ...rest,
  };
}

/** A slice of `ns1/svc1` with the port `p80` → TCP 8080. */
export function endpointSlice(
  endpoints: readonly (Endpoint | string)[],
  changes: Partial<EndpointSlice> = {},
): EndpointSlice {
  const list = endpoints.map((one) => (typeof one === 'string' ? endpoint(one) : one));
  const family: Family = list.some((one) => one.ip.includes(':')) ? 'IPv6' : 'IPv4';
  return {
    kind: 'EndpointSlice',
    namespace: 'ns1',
    name: `svc1-${family.toLowerCase()}`,
    serviceName: 'svc1',
    family,
    ports: [endpointPort()],
    endpoints: list,
    ...changes,
  };
}

export function endpointPort(changes: Partial<EndpointPort> = {}): EndpointPort {
  return { name: 'p80', protocol: 'TCP', port: 8080, ...changes };
}
