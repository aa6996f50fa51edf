import { type NamespacedName, namespacedName, type Origin } from '../../pkg/api/index.ts';
import type { Store } from '../../pkg/cache/index.ts';
import type { KernelElement } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { chainsOfService } from '../../pkg/service/iptables/index.ts';

/** What a plan asks of the objects of the cluster, to name those that a change is about. */
export interface PlannedObjects {
  hasService(name: NamespacedName): boolean;
  /** The chains and set members of the family that a Service is to have. */
  elementsOf(service: NamespacedName): readonly KernelElement[];
  /** The Service whose port, or whose endpoint, an origin is; `undefined` for origins of policies. */
  serviceOf(origin: Origin): NamespacedName | undefined;
  /** The Service that has a cluster IP, an external IP or an address of a load balancer. */
  serviceOfAddress(ip: string): NamespacedName | undefined;
  /** The service port that a chain is for by its name, also where the port needs no such chain now: `namespace/name:port`. */
  portOfChain(chain: string): string | undefined;
  /** The pod to which the container runtime gave an address while the API knows no pod with it. */
  unownedPod(ip: string): NamespacedName | undefined;
}

export interface PlannedObjectsOptions {
  readonly store: Store;
  readonly family: Family;
  readonly elementsOf: (service: NamespacedName) => readonly KernelElement[];
  readonly unowned: readonly { readonly ip: string; readonly pod: NamespacedName }[];
}

/** Looks at all Services for the first question about addresses, and for the first about chains. */
export function plannedObjects({
  store,
  family,
  elementsOf,
  unowned,
}: PlannedObjectsOptions): PlannedObjects {
  let byAddress: ReadonlyMap<string, NamespacedName> | undefined;
  let byChain: ReadonlyMap<string, string> | undefined;
  return {
    hasService: (name) => store.byName('Service', name) !== undefined,
    elementsOf,
    serviceOf: ({ kind, namespace, name }) => {
      if (kind === 'Service') return namespacedName(namespace, name);
      if (kind !== 'EndpointSlice') return undefined;
      const slice = store.get('EndpointSlice', namespace, name);
      return slice && namespacedName(namespace, slice.serviceName);
    },
    serviceOfAddress: (ip) => {
      byAddress ??= servicesByAddress(store);
      return byAddress.get(ip);
    },
    portOfChain: (chain) => {
      byChain ??= new Map(store.list('Service').flatMap((service) => chainsOfService(service, family)));
      return byChain.get(chain);
    },
    unownedPod: (ip) => unowned.find((one) => one.ip === ip)?.pod,
  };
}

/** Of two Services with the same address the one that has it as its cluster IP counts. */
function servicesByAddress(store: Store): ReadonlyMap<string, NamespacedName> {
  const services = store.list('Service');
  const named = (ips: readonly string[], { namespace, name }: (typeof services)[number]) =>
    ips.map((ip) => [ip, namespacedName(namespace, name)] as const);
  return new Map([
    ...services.flatMap((service) => named([...service.externalIPs, ...service.loadBalancerIPs], service)),
    ...services.flatMap((service) => named(Object.values(service.clusterIPs), service)),
  ]);
}
