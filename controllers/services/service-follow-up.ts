import type { NamespacedName } from '../../pkg/api/index.ts';
import type { Dirty, Store } from '../../pkg/cache/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Metrics } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { errorLine } from '../../pkg/runtime/index.ts';
import type { EventSink } from '../events/event-recorder.ts';
import { knownEvents } from '../events/known-events.ts';
import type { ProxyHealth } from '../health/proxy-health.ts';
import { ServiceHealth } from '../health/service-health.ts';
import type { ConntrackController } from './conntrack-controller.ts';
import { LocalEndpoints } from './local-endpoints.ts';
import type { ServiceController } from './service-controller.ts';

export interface ServiceFollowUpOptions {
  readonly store: Store;
  readonly nodeName: string;
  readonly families: readonly Family[];
  readonly services: Pick<ServiceController, 'takeChangedUdp' | 'nodePortAddresses'>;
  readonly conntrack: Pick<ConntrackController, 'synced'>;
  readonly health: Pick<ProxyHealth, 'isHealthy'>;
  readonly metrics: Pick<Metrics, 'sync'>;
  readonly events: EventSink;
  readonly log: Logger;
}

/** What follows Service rules into the kernel: UDP flows that lead nowhere are forgotten, and load balancers learn where endpoints are. */
export class ServiceFollowUp {
  readonly #options: ServiceFollowUpOptions;
  readonly #local: LocalEndpoints;
  readonly #healthPorts: ReadonlyMap<Family, ServiceHealth>;

  constructor(options: ServiceFollowUpOptions) {
    this.#options = options;
    const { store, nodeName, families } = options;
    this.#local = new LocalEndpoints({ store, nodeName, families });
    this.#healthPorts = new Map(families.map((family) => [family, this.#serviceHealth(family)]));
  }

  /** A sync takes in these changes. */
  began(dirty: Dirty): void {
    this.#local.update(dirty.services);
  }

  /** The rules of a family are in the kernel. */
  synced(family: Family): void {
    const { services, conntrack, metrics } = this.#options;
    conntrack.synced(family, services.takeChangedUdp(family));
    metrics.sync.setNoLocalEndpoints(family, this.#local.withoutLocalEndpoints(family));
    void this.#healthPorts.get(family)?.sync(this.#local.healthPorts(family));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#healthPorts.values()].map((ports) => ports.stop()));
  }

  #serviceHealth(family: Family): ServiceHealth {
    const { services, health, log, events } = this.#options;
    return new ServiceHealth({
      family,
      addresses: () => services.nodePortAddresses(family),
      isProxyHealthy: () => health.isHealthy,
      log,
      onBindFailure: (service: NamespacedName, error) => {
        const [namespace = '', name = ''] = service.split('/');
        events.event(knownEvents.serviceHealthServerFailed(namespace, name, errorLine(error)));
      },
    });
  }
}
