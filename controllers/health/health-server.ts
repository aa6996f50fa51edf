import { type HttpAnswer, type HttpHandler, jsonAnswer, notFound } from './http-listener.ts';
import { type HttpServer, type HttpServerOptions, startHttpServer } from './http-server.ts';
import type { HealthReport, ProxyHealth } from './proxy-health.ts';

export interface HealthServerOptions
  extends Pick<HttpServerOptions, 'address' | 'clock' | 'log' | 'hardFail' | 'onBindFailure'> {
  readonly health: ProxyHealth;
  /** For the counters of answers. */
  readonly onProbe: (path: 'healthz' | 'livez', code: 200 | 503) => void;
}

/**
 * Port 10256: `/healthz` for load balancers (a node about to go says 503), `/livez` for the kubelet's liveness probe (neither the node's
 * fate nor another proxy is cured by a restart) and `/readyz` for its readiness probe. Resolves and rejects as `startHttpServer`.
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
        return healthAnswer(code, report, 'healthy', { nodeEligible: report.nodeEligible });
      }
      case '/livez': {
        const code = report.live ? 200 : 503;
        onProbe('livez', code);
        return healthAnswer(code, report, 'live', {});
      }
      case '/readyz': {
        const problems = health.notReady();
        const ready = problems.length === 0;
        const body = { ready, healthy: report.healthy, ...(ready ? {} : { problems }) };
        return jsonAnswer(ready ? 200 : 503, JSON.stringify(body));
      }
      default:
        return notFound;
    }
  };
}

/** kube-proxy's body, and after it what is wrong. `healthy` and `live` differ by what a restart would not cure. */
function healthAnswer(
  code: 200 | 503,
  report: HealthReport,
  asked: 'healthy' | 'live',
  more: { readonly nodeEligible?: boolean },
): HttpAnswer {
  const { currentTime, families, problems } = report;
  // When all is well "last updated" means "right until now", as it has since the first kube-proxy.
  const lastUpdated = code === 200 ? currentTime : report.lastUpdated;
  const status = Object.fromEntries(
    Array.from(families, ([family, health]) => [
      family,
      { lastUpdated: time(health.lastUpdated), healthy: health[asked] },
    ]),
  );
  return jsonAnswer(
    code,
    JSON.stringify({
      lastUpdated: time(lastUpdated),
      currentTime: time(currentTime),
      ...more,
      healthy: report[asked],
      ...(families.size === 0 ? {} : { status }),
      ...(problems.length === 0 ? {} : { problems }),
    }),
  );
}

/** RFC 3339. The zero time of Go stands for never. */
function time(epochMs: number | undefined): string {
  return epochMs === undefined ? '0001-01-01T00:00:00Z' : new Date(epochMs).toISOString();
}
