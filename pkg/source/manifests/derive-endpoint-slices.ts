import type { Endpoint, EndpointPort, EndpointSlice, Pod, Service, ServicePort } from '../../api/index.ts';

const families = ['IPv4', 'IPv6'] as const;

/**
 * The EndpointSlices that the EndpointSlice controller would make for a Service: one a family and a set of resolved
 * target ports (pods may give one port name different numbers). `pods` are those its selector matches.
 * Nothing for Services without selector, whose slices somebody else makes, and for headless ones, which nobody routes.
 * A derived slice's name carries upper case, which no real one can.
 */
export function deriveEndpointSlices(service: Service, pods: readonly Pod[]): readonly EndpointSlice[] {
  if (service.selector === undefined) return [];
  const slices = new Map<string, EndpointSlice & { readonly endpoints: Endpoint[] }>();
  for (const pod of pods.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (pod.phase === 'Succeeded' || pod.phase === 'Failed') continue;
    const ports = resolvePorts(service, pod);
    if (ports.length === 0) continue;
    for (const family of families) {
      const ip = pod.addresses.find((address) => address.family === family)?.ip;
      if (ip === undefined || service.clusterIPs[family] === undefined) continue;
      const name = sliceName(service, family, ports);
      const slice = slices.get(name) ?? emptySlice(service, name, family, ports);
      slices.set(name, slice);
      slice.endpoints.push(toEndpoint(service, pod, ip));
    }
  }
  return [...slices.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function emptySlice(
  service: Service,
  name: string,
  family: EndpointSlice['family'],
  ports: readonly EndpointPort[],
): EndpointSlice & { readonly endpoints: Endpoint[] } {
  const { namespace, name: serviceName } = service;
  return { kind: 'EndpointSlice', namespace, name, serviceName, family, ports, endpoints: [] };
}

/** Stable while the ports are the same, whatever pods come and go. */
function sliceName(service: Service, family: string, ports: readonly EndpointPort[]): string {
  const numbers = ports.map(({ name, port }) => (name === '' ? String(port) : `${name}.${port}`));
  return `${service.name}-derived-${family}-${numbers.join('-')}`;
}

/** A port whose name this pod does not have is left out for this pod. */
function resolvePorts(service: Service, pod: Pod): readonly EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const servicePort of service.ports) {
    const port = resolvePort(servicePort, pod);
    if (port !== undefined) ports.push({ name: servicePort.name, protocol: servicePort.protocol, port });
  }
  return ports;
}

function resolvePort({ targetPort, protocol }: ServicePort, pod: Pod): number | undefined {
  if (typeof targetPort === 'number') return targetPort;
  return pod.namedPorts.find((named) => named.name === targetPort && named.protocol === protocol)?.port;
}

function toEndpoint(service: Service, pod: Pod, ip: string): Endpoint {
  return {
    ip,
    ready: service.publishNotReadyAddresses || (pod.ready && !pod.terminating),
    serving: pod.ready,
    terminating: pod.terminating,
    nodeName: pod.nodeName,
    zoneHints: [],
    nodeHints: [],
  };
}
