import type { NamespacedName } from '../../pkg/api/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { NodePortAddresses, ServiceHealthPort } from '../../pkg/service/decide/index.ts';
import { type HttpAnswer, type HttpListener, jsonAnswer, listenHttp } from './http-listener.ts';

export interface ServiceHealthOptions {
  readonly family: Family;
  /** Where the ports listen: as node ports do. Asked once, when the first port is opened. */
  readonly addresses: () => NodePortAddresses;
  /** Whether the rules keep up; the node's own fate does not count here. */
  readonly isProxyHealthy: () => boolean;
  readonly log: Logger;
  /** The port of a Service can't be had; tried again at the next sync, told once for as long as it goes on. */
  readonly onBindFailure: (service: NamespacedName, error: unknown) => void;
}

interface OpenPort {
  readonly port: number;
  readonly listeners: readonly HttpListener[];
}

const anyAddress = { IPv4: '0.0.0.0', IPv6: '::' } as const;

/**
 * The health-check node ports of one family: a small HTTP server for each LoadBalancer Service with externalTrafficPolicy Local,
 * by which a load balancer finds the nodes that have an endpoint of their own.
 */
export class ServiceHealth {
  readonly #options: ServiceHealthOptions;
  readonly #open = new Map<NamespacedName, OpenPort>();
  #wanted: ReadonlyMap<NamespacedName, ServiceHealthPort> = new Map();
  readonly #failed = new Set<NamespacedName>();
  #hosts: readonly string[] | undefined;
  #syncing: Promise<void> = Promise.resolve();

  constructor(options: ServiceHealthOptions) {
    this.#options = options;
  }

  /**
   * Opens and closes ports so that exactly these are open; call after every sync that ended well. The counts of endpoints hold at
   * once. Never rejects; calls wait for each other.
   */
  sync(wanted: ReadonlyMap<NamespacedName, ServiceHealthPort>): Promise<void> {
    this.#wanted = wanted;
    this.#syncing = this.#syncing.then(() => this.#sync(wanted));
    return this.#syncing;
  }

  /** Closes everything. */
  stop(): Promise<void> {
    return this.sync(new Map());
  }

  async #sync(wanted: ReadonlyMap<NamespacedName, ServiceHealthPort>): Promise<void> {
    // All that goes, goes first: a Service may take over the port of another.
    for (const [service, { port, listeners }] of this.#open) {
      if (wanted.get(service)?.port === port) continue;
      this.#open.delete(service);
      await closeAll(listeners);
    }
    for (const service of this.#failed) if (!wanted.has(service)) this.#failed.delete(service);
    for (const [service, { port }] of wanted) if (!this.#open.has(service)) await this.#listen(service, port);
  }

  /** On all addresses or none: half a Service would look healthy to some and dead to others. */
  async #listen(service: NamespacedName, port: number): Promise<void> {
    const { family, log, onBindFailure } = this.#options;
    const onError = (error: unknown): void => log.error('a health check could not be answered', { error });
    const results = await Promise.allSettled(
      this.#addresses().map((host) =>
        listenHttp({ host, port }, () => this.#answer(service), { ipv6Only: family === 'IPv6', onError }),
      ),
    );
    const listeners = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure === undefined) {
      this.#failed.delete(service);
      this.#open.set(service, { port, listeners });
      return;
    }
    await closeAll(listeners);
    if (this.#failed.has(service)) return;
    this.#failed.add(service);
    log.error(`no health check for ${service}, so its load balancer takes this node for dead`, {
      error: failure.reason,
    });
    onBindFailure(service, failure.reason);
  }

  /** As they are when the first port is opened, like kube-proxy's: an address that comes later gets none. */
  #addresses(): readonly string[] {
    if (this.#hosts === undefined) {
      const addresses = this.#options.addresses();
      this.#hosts = addresses.kind === 'some' ? addresses.addresses : [anyAddress[this.#options.family]];
    }
    return this.#hosts;
  }

  #answer(service: NamespacedName): HttpAnswer {
    const localEndpoints = this.#wanted.get(service)?.localEndpoints ?? 0;
    const serviceProxyHealthy = this.#options.isProxyHealthy();
    const [namespace, name] = service.split('/');
    const body = { service: { namespace, name }, localEndpoints, serviceProxyHealthy };
    return jsonAnswer(
      localEndpoints > 0 && serviceProxyHealthy ? 200 : 503,
      JSON.stringify(body, null, '\t'),
      {
        'X-Load-Balancing-Endpoint-Weight': String(localEndpoints),
      },
    );
  }
}

async function closeAll(listeners: readonly HttpListener[]): Promise<void> {
  await Promise.all(listeners.map((listener) => listener.close()));
}
