import type { Family } from '../../pkg/net/index.ts';
import { type HttpAnswer, type HttpHandler, jsonAnswer, notFound } from './http-listener.ts';
import { type HttpServer, type HttpServerOptions, startHttpServer } from './http-server.ts';
import type { FamilyHealth, HealthReport, ProxyHealth } from './proxy-health.ts';

export interface HealthServerOptions
  extends Pick<HttpServerOptions, 'address' | 'clock' | 'log' | 'hardFail' | 'onBindFailure'> {
  readonly health: ProxyHealth;
  /** For the counters of answers. */
  readonly onProbe: (path: 'healthz' | 'livez', code: 200 | 503) => void;
}

/**
 * Port 10256: `/healthz` for load balancers (a node about to go says 503), `/livez` for the kubelet's liveness probe (the node's
 * fate is none of its business) and `/readyz` for its readiness probe. Resolves and rejects as `startHttpServer`.
 */
export function startHealthServer(options: HealthServerOptions): Promise<HttpServer> {
  return startHttpServer({ ...options, name: 'health', handler: healthHandler(options) });
}

function healthHandler({ health, onProbe }: HealthServerOptions): HttpHandler {
  return (path) => {
    const report = health.report();
    switch (path) {
      case '/healthz': {
        const code = report.healthy && report.nodeEligible ? 200 : 503;
        onProbe('healthz', code);
        return healthAnswer(code, report, { nodeEligible: report.nodeEligible });
      }
      case '/livez': {
        const code = report.healthy ? 200 : 503;
        onProbe('livez', code);
        return healthAnswer(code, report, {});
      }
      case '/readyz': {
        const { isReady } = health;
        const body = JSON.stringify({ ready: isReady, healthy: report.healthy });
        return jsonAnswer(isReady ? 200 : 503, body);
      }
      default:
        return notFound;
    }
  };
}

function healthAnswer(
  code: 200 | 503,
  report: HealthReport,
  more: { readonly nodeEligible?: boolean },
): HttpAnswer {
  const { healthy, currentTime, families } = report;
  // When all is well "last updated" means "right until now", as it has since the first kube-proxy.
  const lastUpdated = code === 200 ? currentTime : report.lastUpdated;
  const status = Object.fromEntries(Array.from(families, familyEntry));
  return jsonAnswer(
    code,
    JSON.stringify({
      lastUpdated: time(lastUpdated),
      currentTime: time(currentTime),
      ...more,
      healthy,
      ...(families.size === 0 ? {} : { status }),
    }),
  );
}

function familyEntry([family, health]: [Family, FamilyHealth]): [Family, unknown] {
  return [family, { lastUpdated: time(health.lastUpdated), healthy: health.healthy }];
}

/** RFC 3339. The zero time of Go stands for never. */
function time(epochMs: number | undefined): string {
  return epochMs === undefined ? '0001-01-01T00:00:00Z' : new Date(epochMs).toISOString();
}
