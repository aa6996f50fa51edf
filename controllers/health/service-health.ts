import type { NamespacedName } from '../../pkg/api/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { isWeirError } from '../../pkg/runtime/index.ts';
import type { NodePortAddresses, ServiceHealthPort } from '../../pkg/service/decide/index.ts';
import { type HttpAnswer, type HttpListener, jsonAnswer, listenHttp } from './http-listener.ts';

export interface ServiceHealthOptions {
  readonly family: Family;
  /** Where the ports listen: as node ports do. Asked at each sync. */
  readonly addresses: () => NodePortAddresses;
  /** Whether the rules keep up; the node's own fate does not count here. */
  readonly isProxyHealthy: () => boolean;
  readonly log: Logger;
  /** The port of a Service can't be had; tried again at the next sync, told once for as long as it goes on. */
  readonly onBindFailure: (service: NamespacedName, error: unknown) => void;
}

interface OpenPort {
  readonly port: number;
  /** By address. */
  readonly listeners: ReadonlyMap<string, HttpListener>;
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
    const hosts = this.#hosts();
    // All that goes, goes first: a Service may take over the port of another.
    for (const [service, open] of this.#open) {
      const stays = (host: string): boolean =>
        wanted.get(service)?.port === open.port && hosts.includes(host);
      const [kept, gone] = partition(open.listeners, stays);
      if (gone.size === 0) continue;
      if (kept.size === 0) this.#open.delete(service);
      else this.#open.set(service, { ...open, listeners: kept });
      await closeAll(gone);
    }
    for (const service of this.#failed) if (!wanted.has(service)) this.#failed.delete(service);
    for (const [service, { port }] of wanted) await this.#listen(service, port, hosts);
  }

  /**
   * On all addresses or none: half a Service would look healthy to some and dead to others. An address that cannot be used at present,
   * such as an IPv6 address on a link without carrier, reaches nobody anyway, and is tried again at the next sync.
   */
  async #listen(service: NamespacedName, port: number, hosts: readonly string[]): Promise<void> {
    const { family, log, onBindFailure } = this.#options;
    const open = this.#open.get(service)?.listeners ?? new Map<string, HttpListener>();
    const missing = hosts.filter((host) => !open.has(host));
    if (missing.length === 0) return;
    const onError = (error: unknown): void => log.error('a health check could not be answered', { error });
    const results = await Promise.allSettled(
      missing.map(async (host) => {
        const answer = (): HttpAnswer => this.#answer(service);
        return [
          host,
          await listenHttp({ host, port }, answer, { ipv6Only: family === 'IPv6', onError }),
        ] as const;
      }),
    );
    const opened = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const listeners = new Map([...open, ...opened]);
    const failure = results.find((result) => result.status === 'rejected' && !isUnusable(result.reason));
    if (failure?.status !== 'rejected') {
      this.#failed.delete(service);
      if (listeners.size > 0) this.#open.set(service, { port, listeners });
      return;
    }
    this.#open.delete(service);
    await closeAll(listeners);
    if (this.#failed.has(service)) return;
    this.#failed.add(service);
    log.error(`no health check for ${service}, so its load balancer takes this node for dead`, {
      error: failure.reason,
    });
    onBindFailure(service, failure.reason);
  }

  #hosts(): readonly string[] {
    const addresses = this.#options.addresses();
    return addresses.kind === 'some' ? addresses.addresses : [anyAddress[this.#options.family]];
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

function partition(
  listeners: ReadonlyMap<string, HttpListener>,
  isKept: (host: string) => boolean,
): readonly [kept: ReadonlyMap<string, HttpListener>, gone: ReadonlyMap<string, HttpListener>] {
  const entries = [...listeners];
  return [
    new Map(entries.filter(([host]) => isKept(host))),
    new Map(entries.filter(([host]) => !isKept(host))),
  ];
}

/** The kernel does not let anybody listen on the address now: it is not valid yet, or needs the name of a link. */
function isUnusable(error: unknown): boolean {
  if (!isWeirError(error) || !(error.cause instanceof Error) || !('code' in error.cause)) return false;
  return error.cause.code === 'EADDRNOTAVAIL' || error.cause.code === 'EINVAL';
}

async function closeAll(listeners: ReadonlyMap<string, HttpListener>): Promise<void> {
  await Promise.all([...listeners.values()].map((listener) => listener.close()));
}
