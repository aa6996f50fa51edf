import type { ApiObject, Endpoint } from '../../api/index.ts';
import type { SharedValues } from './shared-values.ts';

/**
 * The same object in less memory, for a cluster has tens of thousands: what many objects have is shared, and lists are copied,
 * because V8 keeps room for 17 entries in one that was filled one by one.
 */
export function compactObject(object: ApiObject, shared: SharedValues): ApiObject {
  switch (object.kind) {
    case 'EndpointSlice':
      return {
        ...object,
        namespace: shared.text(object.namespace),
        ports: shared.value(object.ports),
        endpoints: object.endpoints.map((endpoint) => compactEndpoint(endpoint, shared)),
      };
    case 'Service':
      return { ...object, namespace: shared.text(object.namespace), ports: [...object.ports] };
    case 'Pod':
      return {
        ...object,
        namespace: shared.text(object.namespace),
        nodeName: object.nodeName && shared.text(object.nodeName),
        labels: shared.value(object.labels),
        addresses: [...object.addresses],
        namedPorts: shared.value(object.namedPorts),
      };
    case 'NetworkPolicy':
    case 'Namespace':
    case 'Node':
    case 'ServiceCIDR':
      return object;
  }
}

function compactEndpoint(endpoint: Endpoint, shared: SharedValues): Endpoint {
  const { nodeName, zoneHints, nodeHints } = endpoint;
  return {
    ...endpoint,
    nodeName: nodeName && shared.text(nodeName),
    zoneHints: zoneHints.length === 0 ? zoneHints : shared.value(zoneHints),
    nodeHints: nodeHints.length === 0 ? nodeHints : shared.value(nodeHints),
  };
}
