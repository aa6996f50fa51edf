import type { Family } from '../net/index.ts';
import type { EndpointSlice } from './endpoint-slice.ts';
import { familyOfCanonical } from './json-reader.ts';
import type { NetworkPolicy } from './network-policy.ts';
import type { ApiObject } from './object.ts';
import type { EndpointOrigin, Origin, PodOrigin, PolicyOrigin, ServiceOrigin } from './origin.ts';
import type { Pod } from './pod.ts';
import type { Service } from './service.ts';
import { nobody } from './service-addresses.ts';

/**
 * The object without one value that cannot be put into effect; `undefined` when it does not have it, or is another object. Leaving out
 * never opens anything: a policy stays and allows nothing in its directions, and source ranges of which none is left let nobody in.
 */
export function leaveOut(object: ApiObject, origin: Origin): ApiObject | undefined {
  if (object.namespace !== origin.namespace || object.name !== origin.name) return undefined;
  switch (origin.kind) {
    case 'Service':
      return object.kind === 'Service' ? fromService(object, origin) : undefined;
    case 'EndpointSlice':
      return object.kind === 'EndpointSlice' ? fromSlice(object, origin) : undefined;
    case 'Pod':
      return object.kind === 'Pod' ? fromPod(object, origin) : undefined;
    case 'NetworkPolicy':
      return object.kind === 'NetworkPolicy' ? closed(object, origin) : undefined;
  }
}

function fromService(service: Service, { field, value }: ServiceOrigin): Service | undefined {
  switch (field) {
    case 'spec.clusterIPs': {
      const family = familyOfCanonical(value);
      if (service.clusterIPs[family] !== value) return undefined;
      const { [family]: _, ...clusterIPs } = service.clusterIPs;
      return { ...service, clusterIPs };
    }
    case 'spec.externalIPs':
      return ifShorter(service, 'externalIPs', without(service.externalIPs, value));
    case 'status.loadBalancer.ingress':
      return ifShorter(service, 'loadBalancerIPs', without(service.loadBalancerIPs, value));
    case 'spec.loadBalancerSourceRanges':
      return withoutRange(service, value);
    case 'spec.ports':
      return ifShorter(
        service,
        'ports',
        service.ports.filter(({ name }) => name !== value),
      );
    case 'spec.ports.nodePort': {
      if (!service.ports.some(({ nodePort }) => String(nodePort) === value)) return undefined;
      const ports = service.ports.map((port) =>
        String(port.nodePort) === value ? { ...port, nodePort: 0 } : port,
      );
      return { ...service, ports };
    }
    case 'spec.healthCheckNodePort':
      return service.healthCheckNodePort === 0 ? undefined : { ...service, healthCheckNodePort: 0 };
    case 'spec.sessionAffinity':
      return service.affinitySeconds === undefined ? undefined : { ...service, affinitySeconds: undefined };
  }
}

/** Where the block that nobody is in is refused, too, the addresses go. */
function withoutRange(service: Service, range: string): Service | undefined {
  const { loadBalancerSourceRanges, loadBalancerIPs } = service;
  const rest = without(loadBalancerSourceRanges, range);
  if (rest.length === loadBalancerSourceRanges.length) return undefined;
  const family: Family = familyOfCanonical(range);
  const ofFamily = (text: string): boolean => familyOfCanonical(text) === family;
  if (rest.some(ofFamily)) return { ...service, loadBalancerSourceRanges: rest };
  if (range !== nobody[family]) return { ...service, loadBalancerSourceRanges: [...rest, nobody[family]] };
  return { ...service, loadBalancerIPs: loadBalancerIPs.filter((ip) => !ofFamily(ip)) };
}

function fromSlice(slice: EndpointSlice, { value }: EndpointOrigin): EndpointSlice | undefined {
  return ifShorter(
    slice,
    'endpoints',
    slice.endpoints.filter(({ ip }) => ip !== value),
  );
}

function fromPod(pod: Pod, { value }: PodOrigin): Pod | undefined {
  return ifShorter(
    pod,
    'addresses',
    pod.addresses.filter(({ ip }) => ip !== value),
  );
}

/** Half a policy is not what anybody wrote: it allows nothing in either of its directions. Whom it selects cannot be left out. */
function closed(policy: NetworkPolicy, { field }: PolicyOrigin): NetworkPolicy | undefined {
  if (field === 'spec.podSelector') return undefined;
  if (policy.ingress.length + policy.egress.length === 0) return undefined;
  return { ...policy, ingress: [], egress: [] };
}

function without(texts: readonly string[], one: string): readonly string[] {
  return texts.filter((text) => text !== one);
}

function ifShorter<Key extends string, Value, Thing extends Readonly<Record<Key, readonly Value[]>>>(
  thing: Thing,
  key: Key,
  list: readonly Value[],
): Thing | undefined {
  return list.length === thing[key].length ? undefined : { ...thing, [key]: list };
}
