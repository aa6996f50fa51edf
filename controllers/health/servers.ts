import { kubeProxyConfiguration, type RunConfig } from '../../pkg/config/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Metrics } from '../../pkg/metrics/index.ts';
import { type Clock, errorLine } from '../../pkg/runtime/index.ts';
import type { EventSink } from '../events/event-recorder.ts';
import { knownEvents } from '../events/known-events.ts';
import { startAdminServer } from './admin-server.ts';
import { startHealthServer } from './health-server.ts';
import type { HttpServer } from './http-server.ts';
import type { ProxyHealth } from './proxy-health.ts';

export interface ServersOptions {
  readonly config: RunConfig;
  readonly health: ProxyHealth;
  readonly metrics: Metrics;
  readonly events: EventSink;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Starts what is configured of the health and the metrics server; returns those that listen, or go on trying to. Rejects when a port
 * is taken and `bindAddressHardFail` is set.
 */
export async function startServers(options: ServersOptions): Promise<readonly HttpServer[]> {
  const { config, health, metrics, events, clock, log } = options;
  const { nodeName, healthzBindAddress, metricsBindAddress, bindAddressHardFail: hardFail } = config;
  const shared = { clock, log, hardFail };
  const starting: Promise<HttpServer>[] = [];
  if (healthzBindAddress !== '') {
    starting.push(
      startHealthServer({
        ...shared,
        address: healthzBindAddress,
        health,
        onProbe: (path, code) => metrics.node.probed(path, code),
        onBindFailure: (error) => events.event(knownEvents.healthServerFailed(nodeName, errorLine(error))),
      }),
    );
  }
  if (metricsBindAddress !== '') {
    starting.push(
      startAdminServer({
        ...shared,
        address: metricsBindAddress,
        metrics,
        configuration: () => kubeProxyConfiguration(config),
        isProxy: config.parts.includes('services'),
        onBindFailure: (error) => events.event(knownEvents.metricsServerFailed(nodeName, errorLine(error))),
      }),
    );
  }
  return Promise.all(starting);
}
