import { type NamespacedName, namespacedName, type Service } from '../../pkg/api/index.ts';
import type { Store } from '../../pkg/cache/index.ts';
import type { NoLocalEndpoints } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { decideService, type ServiceHealthPort, serviceHealthPort } from '../../pkg/service/decide/index.ts';

export interface LocalEndpointsOptions {
  readonly store: Store;
  readonly nodeName: string;
  readonly families: readonly Family[];
}

interface FamilyFacts {
  readonly healthPorts: Map<NamespacedName, ServiceHealthPort>;
  /** Only Services that have such ports. */
  readonly withoutLocal: Map<NamespacedName, NoLocalEndpoints>;
}

/**
 * What Services that want their traffic to stay on the node find here: the answers of their health-check node ports, and those
 * that find nothing. Kept up to date by name, because looking at all Services for each change would cost more than writing it.
 */
export class LocalEndpoints {
  readonly #options: LocalEndpointsOptions;
  readonly #facts: ReadonlyMap<Family, FamilyFacts>;
  #isFirst = true;

  constructor(options: LocalEndpointsOptions) {
    this.#options = options;
    const facts = (): FamilyFacts => ({ healthPorts: new Map(), withoutLocal: new Map() });
    this.#facts = new Map(options.families.map((family) => [family, facts()]));
  }

  /** Looks at the Services that changed; the first time at all. */
  update(services: Iterable<NamespacedName>): void {
    const { store } = this.#options;
    const all = this.#isFirst
      ? store.list('Service').map((service) => namespacedName(service.namespace, service.name))
      : services;
    this.#isFirst = false;
    for (const name of all) this.#look(name, store.byName('Service', name));
  }

  /** The health-check node ports that should be open. A new map after each change, so that it can be kept. */
  healthPorts(family: Family): ReadonlyMap<NamespacedName, ServiceHealthPort> {
    return new Map(this.#facts.get(family)?.healthPorts);
  }

  /** Service ports that have endpoints somewhere, but none here where their traffic policy wants them. */
  withoutLocalEndpoints(family: Family): NoLocalEndpoints {
    const sum = { internal: 0, external: 0 };
    for (const { internal, external } of this.#facts.get(family)?.withoutLocal.values() ?? []) {
      sum.internal += internal;
      sum.external += external;
    }
    return sum;
  }

  #look(name: NamespacedName, service: Service | undefined): void {
    for (const [family, { healthPorts, withoutLocal }] of this.#facts) {
      healthPorts.delete(name);
      withoutLocal.delete(name);
      if (service === undefined || !wantsLocal(service)) continue;
      const slices = this.#options.store.slicesOf(name);
      const { nodeName } = this.#options;
      const healthPort = serviceHealthPort(service, slices, family, nodeName);
      if (healthPort !== undefined) healthPorts.set(name, healthPort);
      // The zone chooses among endpoints of other nodes, which does not matter here.
      const decisions = decideService(service, slices, family, { nodeName, zone: undefined });
      const internal = decisions.filter((port) => port.internalRefusal === 'drop').length;
      const external = decisions.filter((port) => port.externalRefusal === 'drop').length;
      if (internal + external > 0) withoutLocal.set(name, { internal, external });
    }
  }
}

function wantsLocal(service: Service): boolean {
  return service.internalTrafficPolicy === 'Local' || service.externalTrafficPolicy === 'Local';
}
