import type { Service } from '../../pkg/api/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import type { Target } from './requests.ts';

export function clusterTarget(service: Service, family: Family): Target {
  return target(service, service.clusterIPs[family], family);
}

export function externalTarget(service: Service): Target {
  return target(service, service.externalIPs[0], 'external');
}

export function loadBalancerTarget(service: Service, family: Family): Target {
  const address = service.loadBalancerIPs.find((one) => familyOf(one) === family);
  return target(service, address, 'load balancer');
}

/** The port that is this Service's on every node. */
export function nodePortTarget(service: Service, nodeAddress: string): Target {
  return { address: nodeAddress, port: service.ports[0]?.nodePort ?? 0 };
}

function target({ name, ports: [port] }: Service, address: string | undefined, which: string): Target {
  if (address === undefined || port === undefined)
    throw new RangeError(`Service ${name} has no ${which} address`);
  return { address, port: port.port };
}
